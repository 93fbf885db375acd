/** Log in with email and password, or by the identity provider that the address belongs to. */
import { Alert, Anchor, Button, PasswordInput, TextInput } from '@mantine/core'
import { browserSupportsWebAuthn } from '@simplewebauthn/browser'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link, useRouter } from '@tanstack/react-router'
import { useState, type SubmitEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem, sentence } from '../../api/client'
import { passkeyForFactor, useLogInByPasskey, useShowFactor } from '../../api/proof'
import { sessionQuery, useLogIn } from '../../api/session'
import { findDoors, type Door } from '../../api/sso'
import { Icon } from '../../ui/Icon'
import { span } from '../../ui/format'
import { ProofForm } from '../../ui/ProofForm'
import { Doors } from './Doors'
import classes from './LoginPage.module.css'
import { isOfServer } from './next'
import { Outside } from './Outside'

const route = getRouteApi('/login')

export function LoginPage() {
  const router = useRouter()
  const { next } = route.useSearch()
  const logIn = useLogIn()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')

  const { t } = useTranslation('session')
  const [doors, setDoors] = useState<readonly Door[] | null>(null)
  const [looking, setLooking] = useState(false)
  const [trouble, setTrouble] = useState<unknown>(null)

  const bySingleSignOn = async () => {
    setLooking(true)
    setTrouble(null)
    try {
      const found = await findDoors({ email: email.trim() })
      setDoors(found)
      const [only, ...others] = found
      // One way alone is the way.
      if (only !== undefined && others.length === 0) {
        const query = next === undefined ? '' : `?${new URLSearchParams({ next }).toString()}`
        window.location.assign(`${only.url}${query}`)
      }
    } catch (error) {
      setTrouble(error)
    } finally {
      setLooking(false)
    }
  }
  const session = useQuery(sessionQuery).data
  const hasMail = session?.mail ?? false
  const byPasskey = useLogInByPasskey()
  const showFactor = useShowFactor()
  const queries = useQueryClient()
  const enter = () => {
    const href = next ?? '/'
    if (isOfServer(href)) window.location.assign(href)
    else void router.navigate({ href })
  }

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    logIn.mutate(
      { email: email.trim(), password },
      {
        onSuccess: (session) => {
          if (session.authenticated) enter()
        },
        onError: () => {
          setPassword('')
          document.getElementById('password')?.focus()
        },
      },
    )
  }

  if (session?.factor != null) {
    return (
      <Outside title={t('factorTitle')}>
        <p className={classes.text}>{t('factorText')}</p>
        <ProofForm
          ways={session.factor.ways}
          action={t('title')}
          passkey={passkeyForFactor}
          send={async (proof) => {
            await showFactor.mutateAsync(proof)
            enter()
          }}
        />
        <Anchor
          component="button"
          type="button"
          size="sm"
          mt="md"
          onClick={() => {
            setPassword('')
            queries.setQueryData(sessionQuery.queryKey, { ...session, factor: null })
          }}
        >
          {t('startOver')}
        </Anchor>
      </Outside>
    )
  }

  return (
    <Outside title={t('title')}>
      <form onSubmit={submit} className={classes.form}>
        {logIn.error !== null && (
          <Alert color="red" variant="light" icon={<Icon name="alert" />} role="alert">
            {logIn.error instanceof Problem && logIn.error.retryAfter !== null
              ? t('tooMany', { span: span(logIn.error.retryAfter) })
              : sentence(logIn.error)}
          </Alert>
        )}
        <TextInput
          id="email"
          label={t('email')}
          type="email"
          name="email"
          autoComplete="username"
          autoFocus
          required
          withAsterisk={false}
          size="md"
          value={email}
          onChange={(event) => {
            setEmail(event.currentTarget.value)
          }}
        />
        <PasswordInput
          id="password"
          label={t('password')}
          name="password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          size="md"
          visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
          value={password}
          onChange={(event) => {
            setPassword(event.currentTarget.value)
          }}
        />
        <Button type="submit" size="md" fullWidth loading={logIn.isPending}>
          {t('title')}
        </Button>
      </form>
      <div className={classes.other}>
        <Button
          variant="default"
          size="md"
          fullWidth
          loading={looking}
          onClick={() => {
            if (email.trim() === '') document.getElementById('email')?.focus()
            else void bySingleSignOn()
          }}
        >
          {t('singleSignOn')}
        </Button>
        {browserSupportsWebAuthn() && (
          <Button
            variant="default"
            size="md"
            fullWidth
            loading={byPasskey.isPending}
            onClick={() => {
              setTrouble(null)
              byPasskey.mutate(undefined, { onSuccess: enter, onError: setTrouble })
            }}
          >
            {t('byPasskey')}
          </Button>
        )}
        <div role="status">
          {trouble !== null && <p className={classes.text}>{sentence(trouble)}</p>}
          {doors?.length === 0 && <p className={classes.text}>{t('noDoorsForAddress')}</p>}
        </div>
        {doors !== null && doors.length > 1 && <Doors doors={doors} next={next} />}
      </div>
      {hasMail && (
        <Anchor renderRoot={(props) => <Link {...props} to="/forgot" />} size="sm" mt="md">
          {t('forgot')}
        </Anchor>
      )}
    </Outside>
  )
}
