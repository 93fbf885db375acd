/** Sets an authenticator program up: its QR code, or the secret to type in, and its first code. */
import { TextInput } from '@mantine/core'
import { QRCodeSVG } from 'qrcode.react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useConfirmAuthenticator, type NewAuthenticator } from '../../api/factors'
import { Command } from '../../ui/Command'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import classes from './AccountPage.module.css'

interface AddAuthenticatorProps {
  begun: NewAuthenticator
  onClose: () => void
  onCodes: (codes: readonly string[]) => void
}

export function AddAuthenticator({ begun, onClose, onCodes }: AddAuthenticatorProps) {
  const { t } = useTranslation('account')
  const confirm = useConfirmAuthenticator()
  const form = useApiForm({
    initial: { name: '', code: '' },
    schema: z.object({ name: z.string().max(100), code: z.string().min(6, t('giveCode')) }),
    send: (values) => confirm.mutateAsync({ id: begun.id, ...values }),
    onDone: onCodes,
  })
  return (
    <FormDialog opened onClose={onClose} title={t('addAuthenticator')} action={t('confirmCode')} of={form}>
      <p>{t('scan')}</p>
      <div className={classes.code}>
        <QRCodeSVG value={begun.address} size={192} marginSize={4} title={t('qrCode')} />
      </div>
      <Command label={t('secret')} text={begun.secret} wrap />
      <TextInput
        label={t('factorName')}
        placeholder={t('authenticatorExample')}
        {...form.form.getInputProps('name')}
      />
      <TextInput
        label={t('firstCode')}
        inputMode="numeric"
        autoComplete="one-time-code"
        maxLength={9}
        {...form.form.getInputProps('code')}
      />
    </FormDialog>
  )
}
