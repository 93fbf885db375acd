/** Gives a webhook another secret; the one before signs besides for a while, so that the receiver can be told. */
import { Select } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useWebhookActs, type Webhook } from '../../api/webhooks'
import { Dialog } from '../../ui/Dialog'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { Once } from '../../ui/Once'

export function RotateSecret({ webhook, onClose }: { webhook: Webhook; onClose: () => void }) {
  const { t } = useTranslation('webhooks')
  const { rotate } = useWebhookActs()
  const [secret, setSecret] = useState<string | null>(null)
  const form = useApiForm({
    initial: { overlap: '86400' },
    schema: z.object({ overlap: z.string() }),
    send: ({ overlap }) => rotate.mutateAsync({ id: webhook.id, overlap: Number(overlap) }),
    onDone: (made) => setSecret(made.secret),
  })
  if (secret !== null) {
    return (
      <Dialog opened onClose={onClose} title={t('rotated')} held>
        <Once label={t('secret')} text={secret} onDone={onClose}>
          <p>{t('secretHelp')}</p>
        </Once>
      </Dialog>
    )
  }
  return (
    <FormDialog opened onClose={onClose} title={t('rotate')} action={t('rotateAct')} of={form}>
      <Select
        label={t('overlap')}
        description={t('overlapHelp')}
        allowDeselect={false}
        data={[
          { value: '0', label: t('overlapNone') },
          { value: '3600', label: t('overlapHour') },
          { value: '86400', label: t('overlapDay') },
          { value: '604800', label: t('overlapWeek') },
        ]}
        {...form.form.getInputProps('overlap')}
      />
    </FormDialog>
  )
}
