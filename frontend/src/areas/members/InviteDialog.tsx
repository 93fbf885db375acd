/** Invites somebody: an address and a role, and then a link that is shown once. */
import { Checkbox, Select, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useMemberActs, type CreatedInvitation } from '../../api/members'
import { sessionQuery } from '../../api/session'
import { LANGUAGES } from '../../i18n'
import { Dialog } from '../../ui/Dialog'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { dateTime } from '../../ui/format'
import { Once } from '../../ui/Once'

interface InviteDialogProps {
  roles: { value: string; label: string }[]
  onClose: () => void
}

export function InviteDialog({ roles, onClose }: InviteDialogProps) {
  const { t, i18n } = useTranslation('members')
  const { invite } = useMemberActs()
  const hasMail = useQuery(sessionQuery).data?.mail ?? false
  const [made, setMade] = useState<CreatedInvitation | null>(null)
  const language: 'en' | 'de' = i18n.resolvedLanguage === 'de' ? 'de' : 'en'
  const form = useApiForm({
    initial: {
      email: '',
      role: 'member',
      days: '7',
      send: hasMail,
      language,
    },
    schema: z.object({
      email: z.string().regex(/^\S+@\S+$/, t('emailNeeded')),
      role: z.string().min(1, t('roleNeeded')),
    }),
    send: (values) =>
      invite.mutateAsync({ ...values, email: values.email.trim(), days: Number(values.days) }),
    onDone: setMade,
  })
  if (made !== null) {
    return (
      <Dialog opened onClose={onClose} title={t('invitedTitle', { email: made.email })} held>
        <Once label={t('link')} text={made.link} onDone={onClose}>
          <p>
            {made.by_mail ? t('linkMailed', { email: made.email }) : t('linkHelp', { email: made.email })}{' '}
            {t('linkUntil', { time: dateTime(made.expires_at) })}
          </p>
        </Once>
      </Dialog>
    )
  }
  return (
    <FormDialog opened onClose={onClose} title={t('invite')} action={t('inviteAct')} of={form}>
      <TextInput
        label={t('email')}
        description={t('emailHelp')}
        type="email"
        maxLength={254}
        data-autofocus
        {...form.form.getInputProps('email')}
      />
      <Select label={t('role')} data={roles} allowDeselect={false} {...form.form.getInputProps('role')} />
      <Select
        label={t('expires')}
        allowDeselect={false}
        data={['1', '7', '30'].map((value) => ({ value, label: t('days', { count: Number(value) }) }))}
        {...form.form.getInputProps('days')}
      />
      {hasMail ? (
        <>
          <Checkbox label={t('send')} {...form.form.getInputProps('send', { type: 'checkbox' })} />
          <Select
            label={t('language')}
            allowDeselect={false}
            data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
            {...form.form.getInputProps('language')}
          />
        </>
      ) : (
        <p>{t('noMail')}</p>
      )}
    </FormDialog>
  )
}
