/** The dialog that makes a webhook or changes one; a new one's secret is shown once. */
import { MultiSelect, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useWebhookActs, useWebhookEvents, type Webhook, type WebhookValues } from '../../api/webhooks'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

interface WebhookFormProps {
  /** Which is changed; without it one is made. */
  webhook?: Webhook
  onClose: () => void
  onSecret?: (secret: string) => void
}

/** Mounted while it is open, so that it begins with what there is then. */
export function WebhookForm({ webhook, onClose, onSecret }: WebhookFormProps) {
  const { t } = useTranslation('webhooks')
  const { create, change } = useWebhookActs()
  const events = useWebhookEvents()
  const form = useApiForm<WebhookValues & Record<string, unknown>>({
    initial: {
      url: webhook?.url ?? '',
      events: webhook?.events ?? [],
      description: webhook?.description ?? '',
    },
    schema: z.object({
      url: z.string().min(1, t('urlNeeded')),
      events: z.array(z.string()).min(1, t('eventsNeeded')),
    }),
    send: async ({ url, events: wanted, description }) => {
      const values = { url: url.trim(), events: wanted, description }
      if (webhook !== undefined) {
        await change.mutateAsync({ id: webhook.id, ...values })
        done(t('changed'))
        return null
      }
      return (await create.mutateAsync(values)).secret
    },
    onDone: (secret) => {
      onClose()
      if (typeof secret === 'string') onSecret?.(secret)
    },
  })
  const known = events.data?.flatMap((group) => [`${group.group}.*`, ...group.events]) ?? []
  const others = (webhook?.events ?? []).filter((each) => each !== '*' && !known.includes(each))
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={webhook === undefined ? t('create') : t('change')}
      action={webhook === undefined ? t('createAct') : t('saveAct')}
      of={form}
      size="lg"
    >
      <TextInput
        label={t('url')}
        description={t('urlHelp')}
        placeholder={t('urlExample')}
        maxLength={2000}
        data-autofocus
        {...form.form.getInputProps('url')}
      />
      <MultiSelect
        label={t('events')}
        description={t('eventsHelp')}
        searchable
        hidePickedOptions
        maxDropdownHeight={260}
        data={[
          { group: t('all'), items: [{ value: '*', label: t('everything') }] },
          ...(events.data ?? []).map(({ group, events: names }) => ({
            group,
            items: [`${group}.*`, ...names],
          })),
          ...(others.length > 0 ? [{ group: t('others'), items: others }] : []),
        ]}
        {...form.form.getInputProps('events')}
      />
      <TextInput
        label={t('description')}
        description={t('descriptionHelp')}
        maxLength={200}
        {...form.form.getInputProps('description')}
      />
    </FormDialog>
  )
}
