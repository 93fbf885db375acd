/** Changes one's password. Every other session ends with it. */
import { Alert, Button, PasswordInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangePassword } from '../../api/account'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import classes from './AccountPage.module.css'

export function PasswordForm({ email }: { email: string }) {
  const { t } = useTranslation('account')
  const change = useChangePassword()
  const form = useApiForm({
    initial: { current: '', new: '', again: '' },
    schema: z
      .object({
        current: z.string().min(1, t('giveCurrent')),
        new: z.string().min(1, t('giveNew')),
        again: z.string(),
      })
      .refine((values) => values.new === values.again, { path: ['again'], message: t('notTheSame') }),
    send: ({ current, new: password }) => change.mutateAsync({ current, new: password }),
    onDone: () => {
      form.reset()
      done(t('passwordDone'))
    },
  })
  const shown = {
    visibilityToggleButtonProps: { 'aria-label': t('showPassword') },
    withAsterisk: false,
  } as const
  return (
    <form onSubmit={form.onSubmit} noValidate className={classes.password}>
      {/* Password managers save the new one beside the name that it is for. */}
      <input type="hidden" name="username" autoComplete="username" value={email} readOnly />
      {form.failure !== null && (
        <Alert color="red" variant="light" role="alert">
          {form.failure}
        </Alert>
      )}
      <PasswordInput
        label={t('current')}
        autoComplete="current-password"
        {...shown}
        {...form.form.getInputProps('current')}
      />
      <PasswordInput
        label={t('new')}
        description={t('newText')}
        autoComplete="new-password"
        {...shown}
        {...form.form.getInputProps('new')}
      />
      <PasswordInput
        label={t('again')}
        autoComplete="new-password"
        {...shown}
        {...form.form.getInputProps('again')}
      />
      <div>
        <Button type="submit" loading={form.pending}>
          {t('change')}
        </Button>
      </div>
    </form>
  )
}
