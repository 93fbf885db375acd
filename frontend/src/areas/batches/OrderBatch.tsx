/** The dialog that orders a batch: which file, which endpoint, as which key, until when. */
import { Select } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { ENDPOINTS, useCreateBatch, useFiles } from '../../api/batches'
import { useKeys } from '../../api/keys'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { bytes } from '../../ui/format'
import { done } from '../../ui/toast'

const WINDOWS = ['1h', '6h', '24h', '7d', '14d'] as const

export function OrderBatch({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('batches')
  const files = useFiles({ ordering: '-created_at', purpose: 'batch' })
  const keys = useKeys()
  const create = useCreateBatch()
  const [now] = useState(() => Date.now())
  const usable = (keys.rows ?? [])
    .filter((key) => key.revoked_at === null && key.permissions.includes('inference.use'))
    .filter((key) => key.expires_at === null || Date.parse(key.expires_at) > now)
  const ordering = useApiForm({
    initial: { input_file: '', endpoint: ENDPOINTS[0], key: '', completion_window: '24h' },
    schema: z.object({
      input_file: z.string().min(1, t('chooseFile')),
      endpoint: z.string(),
      key: z.string().min(1, t('chooseKey')),
      completion_window: z.string(),
    }),
    send: (values) =>
      create.mutateAsync({
        ...values,
        endpoint: ENDPOINTS.find((each) => each === values.endpoint) ?? ENDPOINTS[0],
      }),
    onDone: () => {
      done(t('ordered'))
      onClose()
    },
  })
  const { form } = ordering
  return (
    <FormDialog opened onClose={onClose} title={t('order')} action={t('orderIt')} of={ordering}>
      <Select
        label={t('input')}
        placeholder={t('chooseFile')}
        nothingFoundMessage={t('noFile')}
        searchable
        data={(files.rows ?? []).map((file) => ({
          value: file.id,
          label: `${file.name} · ${bytes(file.size)}`,
        }))}
        {...form.getInputProps('input_file')}
      />
      <Select
        label={t('endpoint')}
        data={[...ENDPOINTS]}
        allowDeselect={false}
        {...form.getInputProps('endpoint')}
      />
      <Select
        label={t('key')}
        description={t('keyText')}
        placeholder={t('chooseKey')}
        nothingFoundMessage={t('noKey')}
        searchable
        data={usable.map((key) => ({ value: key.id, label: key.name }))}
        {...form.getInputProps('key')}
      />
      <Select
        label={t('window')}
        description={t('windowText')}
        data={WINDOWS.map((value) => ({ value, label: t(`within.${value}`) }))}
        allowDeselect={false}
        {...form.getInputProps('completion_window')}
      />
    </FormDialog>
  )
}
