/** The dialog that sets an identity provider up; the rest is on its page. */
import { PasswordInput, Select, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useCreateProvider, useRoleSlugs } from '../../api/sso'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'

export function CreateProvider({ onClose, onMade }: { onClose: () => void; onMade: (id: string) => void }) {
  const { t } = useTranslation('sso')
  const create = useCreateProvider()
  const roles = useRoleSlugs().data ?? []
  const making = useApiForm({
    initial: { name: '', issuer: '', client_id: '', client_secret: '', default_role: '' },
    schema: z.object({
      name: z.string().trim().min(1, t('needed')),
      issuer: z.url(t('needsUrl')),
      client_id: z.string().trim().min(1, t('needed')),
    }),
    send: ({ default_role, ...values }) =>
      create.mutateAsync({ ...values, default_role: default_role === '' ? null : default_role }),
    onDone: (made) => {
      onMade(made.id)
    },
  })
  const { form } = making
  return (
    <FormDialog opened onClose={onClose} title={t('add')} action={t('save')} of={making}>
      <TextInput
        label={t('name')}
        description={t('nameText')}
        data-autofocus
        {...form.getInputProps('name')}
      />
      <TextInput
        label={t('issuer')}
        description={t('issuerText')}
        placeholder={t('issuerExample')}
        {...form.getInputProps('issuer')}
      />
      <TextInput label={t('clientId')} autoComplete="off" {...form.getInputProps('client_id')} />
      <PasswordInput
        label={t('secret')}
        description={t('secretText')}
        autoComplete="off"
        visibilityToggleButtonProps={{ 'aria-label': t('showSecret') }}
        {...form.getInputProps('client_secret')}
      />
      <Select
        label={t('defaultRole')}
        description={t('defaultRoleText')}
        data={roles}
        clearable
        clearButtonProps={{ 'aria-label': t('clear') }}
        placeholder={t('noRole')}
        {...form.getInputProps('default_role')}
      />
    </FormDialog>
  )
}
