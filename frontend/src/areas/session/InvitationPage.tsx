/** What an invitation is for, and becoming a member: as a new user, or as who is logged in. */
import { Alert, Anchor, Button, PasswordInput, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, useRouter } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { sentence } from '../../api/client'
import { useAcceptInvitation, useOpenInvitation } from '../../api/members'
import { sessionQuery, useLogOut } from '../../api/session'
import { Icon } from '../../ui/Icon'
import { useApiForm } from '../../ui/form/useApiForm'
import { dateTime } from '../../ui/format'
import { PagePending } from '../../ui/PageState'
import { useLinkToken } from './linkToken'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

export function InvitationPage() {
  const { t } = useTranslation('session')
  const token = useLinkToken()
  const invitation = useOpenInvitation(token)
  const session = useQuery(sessionQuery)
  const router = useRouter()
  const accept = useAcceptInvitation()
  const logOut = useLogOut()
  const found = invitation.data
  if (invitation.error !== null) {
    return (
      <Outside title={t('invitationTitle')}>
        <Wrong>{sentence(invitation.error)}</Wrong>
      </Outside>
    )
  }
  if (found === undefined || session.data === undefined) {
    return (
      <Outside title={t('invitationTitle')}>
        <PagePending />
      </Outside>
    )
  }
  const user = session.data.user
  const isSame = user !== null && user.email.toLowerCase() === found.email.toLowerCase()
  const enter = () => void router.navigate({ to: '/' })
  return (
    <Outside title={t('invitationFor', { tenant: found.tenant })}>
      <div className={classes.form}>
        <p>
          {found.invited_by === ''
            ? t('invitationText', { role: found.role, email: found.email })
            : t('invitationTextBy', { by: found.invited_by, role: found.role, email: found.email })}{' '}
          {t('invitationUntil', { time: dateTime(found.expires_at) })}
        </p>
        {user === null && !found.has_account && <NewUser token={token} email={found.email} onDone={enter} />}
        {user === null && found.has_account && (
          <>
            <p>{t('invitationLogIn')}</p>
            <Button
              size="md"
              fullWidth
              renderRoot={(props) => <Link {...props} to="/login" search={{ next: '/invitation' }} />}
            >
              {t('title')}
            </Button>
          </>
        )}
        {user !== null && isSame && (
          <>
            {accept.error !== null && <Wrong>{sentence(accept.error)}</Wrong>}
            <Button
              size="md"
              fullWidth
              loading={accept.isPending}
              onClick={() => accept.mutate({ token }, { onSuccess: enter })}
            >
              {t('accept')}
            </Button>
          </>
        )}
        {user !== null && !isSame && (
          <>
            <Wrong>{t('invitationOther', { email: user.email, wanted: found.email })}</Wrong>
            <Button
              variant="default"
              loading={logOut.isPending}
              onClick={() => logOut.mutate(undefined, { onSuccess: () => window.location.reload() })}
            >
              {t('logOut')}
            </Button>
          </>
        )}
      </div>
    </Outside>
  )
}

function Wrong({ children }: { children: string }) {
  return (
    <Alert color="red" variant="light" icon={<Icon name="alert" />} role="alert">
      {children}
    </Alert>
  )
}

function NewUser({ token, email, onDone }: { token: string; email: string; onDone: () => void }) {
  const { t } = useTranslation('session')
  const accept = useAcceptInvitation()
  const form = useApiForm({
    initial: { name: '', password: '' },
    schema: z.object({ password: z.string().min(12, t('passwordShort')) }),
    send: ({ name, password }) => accept.mutateAsync({ token, name: name.trim(), password }),
    onDone,
  })
  return (
    <form onSubmit={form.onSubmit} noValidate className={classes.form}>
      {form.failure !== null && <Wrong>{form.failure}</Wrong>}
      <TextInput label={t('email')} type="email" autoComplete="username" size="md" value={email} readOnly />
      <TextInput
        label={t('name')}
        description={t('nameHelp')}
        autoComplete="name"
        size="md"
        maxLength={100}
        {...form.form.getInputProps('name')}
      />
      <PasswordInput
        label={t('newPassword')}
        description={t('passwordHelp')}
        autoComplete="new-password"
        size="md"
        maxLength={1024}
        visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
        {...form.form.getInputProps('password')}
      />
      <Button type="submit" size="md" fullWidth loading={form.pending}>
        {t('accept')}
      </Button>
      <p>
        <Anchor
          renderRoot={(props) => <Link {...props} to="/login" search={{ next: '/invitation' }} />}
          size="sm"
        >
          {t('haveAccount')}
        </Anchor>
      </p>
    </form>
  )
}
