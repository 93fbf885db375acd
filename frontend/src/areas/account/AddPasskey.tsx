/** Registers a passkey under a name. */
import { TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useAddPasskey } from '../../api/factors'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'

interface AddPasskeyProps {
  onClose: () => void
  onCodes: (codes: readonly string[]) => void
}

export function AddPasskey({ onClose, onCodes }: AddPasskeyProps) {
  const { t } = useTranslation('account')
  const add = useAddPasskey()
  const form = useApiForm({
    initial: { name: '' },
    schema: z.object({ name: z.string().trim().min(1, t('giveFactorName')).max(100) }),
    send: ({ name }) => add.mutateAsync(name),
    onDone: onCodes,
  })
  return (
    <FormDialog opened onClose={onClose} title={t('addPasskey')} action={t('goOn')} of={form}>
      <p>{t('passkeyText')}</p>
      <TextInput
        label={t('factorName')}
        placeholder={t('passkeyExample')}
        {...form.form.getInputProps('name')}
      />
    </FormDialog>
  )
}
