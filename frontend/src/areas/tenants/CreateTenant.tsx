/** Makes an organisation. */
import { TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useTenantActs } from '../../api/tenants'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function CreateTenant({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('tenants')
  const { create } = useTenantActs()
  const form = useApiForm({
    initial: { name: '', slug: '' },
    schema: z.object({
      name: z.string().min(1, t('nameNeeded')).max(200),
      slug: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, t('slugNeeded')),
    }),
    send: ({ name, slug }) => create.mutateAsync({ name: name.trim(), slug }),
    onDone: (made) => {
      done(t('createdDone', { name: made.name }))
      onClose()
    },
  })
  return (
    <FormDialog opened onClose={onClose} title={t('create')} action={t('createAct')} of={form}>
      <TextInput label={t('name')} maxLength={200} data-autofocus {...form.form.getInputProps('name')} />
      <TextInput
        label={t('slug')}
        description={t('slugHelp')}
        maxLength={63}
        {...form.form.getInputProps('slug')}
      />
      <p>{t('firstMember')}</p>
    </FormDialog>
  )
}
