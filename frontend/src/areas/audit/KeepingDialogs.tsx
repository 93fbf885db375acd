/** The dialogs that hold the audit trail, erase a person from it, and give it to a syslog server. */
import { NumberInput, Select, Switch, Textarea, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useKeepingActs, type AuditStreamCreate } from '../../api/auditKeeping'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

const FORMS = ['json', 'cef', 'ocsf'] as const

interface Closing {
  onClose: () => void
}

export function HoldDialog({ onClose }: Closing) {
  const { t } = useTranslation('audit')
  const { hold } = useKeepingActs()
  const placing = useApiForm({
    initial: { reason: '' },
    schema: z.object({ reason: z.string().trim().min(1, t('needed')) }),
    send: ({ reason }) => hold.mutateAsync({ chain: 'tenant', reason }),
    onDone: () => {
      onClose()
      done(t('heldSaid'))
    },
  })
  return (
    <FormDialog opened onClose={onClose} title={t('placeHold')} action={t('placeHold')} of={placing}>
      <p>{t('holdText')}</p>
      <TextInput
        label={t('reason')}
        maxLength={300}
        data-autofocus
        {...placing.form.getInputProps('reason')}
      />
    </FormDialog>
  )
}

export function EraseDialog({ onClose }: Closing) {
  const { t } = useTranslation('audit')
  const { erase } = useKeepingActs()
  const erasing = useApiForm({
    initial: { email: '', reason: '' },
    schema: z.object({
      email: z.string().regex(/^\S+@\S+$/, t('emailNeeded')),
      reason: z.string().trim().min(1, t('needed')),
    }),
    send: ({ email, reason }) => erase.mutateAsync({ chain: 'tenant', email: email.trim(), reason }),
    onDone: ({ keys }) => {
      onClose()
      done(t('erasedSaid', { count: keys }))
    },
  })
  return (
    <FormDialog opened onClose={onClose} title={t('erase')} action={t('erase')} of={erasing}>
      <p>{t('eraseText')}</p>
      <TextInput
        label={t('email')}
        maxLength={254}
        autoComplete="off"
        data-autofocus
        {...erasing.form.getInputProps('email')}
      />
      <TextInput
        label={t('reason')}
        description={t('eraseReasonText')}
        maxLength={300}
        {...erasing.form.getInputProps('reason')}
      />
    </FormDialog>
  )
}

export function StreamDialog({ onClose }: Closing) {
  const { t } = useTranslation('audit')
  const { create } = useKeepingActs()
  const adding = useApiForm<Required<Omit<AuditStreamCreate, 'chain'>> & Record<string, unknown>>({
    initial: {
      name: '',
      host: '',
      port: 6514,
      form: 'json',
      authority: '',
      answered: true,
      from_start: false,
    },
    schema: z.object({
      name: z.string().trim().min(1, t('needed')),
      host: z.string().trim().min(1, t('needed')),
      port: z.number().int().min(1).max(65535),
    }),
    send: ({ name, host, port, form, authority, answered, from_start }) =>
      create.mutateAsync({ name, host, port, form, authority, answered, from_start, chain: 'tenant' }),
    onDone: (_, { name }) => {
      onClose()
      done(t('addedSaid', { name }))
    },
  })
  const { form } = adding
  return (
    <FormDialog opened onClose={onClose} title={t('addStream')} action={t('add')} of={adding} size="lg">
      <TextInput label={t('name')} maxLength={100} data-autofocus {...form.getInputProps('name')} />
      <TextInput
        label={t('host')}
        placeholder={t('hostExample')}
        maxLength={253}
        {...form.getInputProps('host')}
      />
      <NumberInput
        label={t('port')}
        description={t('portText')}
        min={1}
        max={65535}
        {...form.getInputProps('port')}
      />
      <Select
        label={t('form')}
        data={FORMS.map((each) => ({ value: each, label: t(`formOf.${each}`) }))}
        allowDeselect={false}
        {...form.getInputProps('form')}
      />
      <Textarea
        label={t('authority')}
        description={t('authorityText')}
        rows={4}
        spellCheck={false}
        {...form.getInputProps('authority')}
      />
      <Switch label={t('fromStart')} {...form.getInputProps('from_start', { type: 'checkbox' })} />
      <Switch
        label={t('answered')}
        description={t('answeredText')}
        {...form.getInputProps('answered', { type: 'checkbox' })}
      />
    </FormDialog>
  )
}
