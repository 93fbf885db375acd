/** Sets a new password by the link of a letter. */
import { Alert, Anchor, Button, PasswordInput } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { resetPassword } from '../../api/members'
import { Icon } from '../../ui/Icon'
import { useApiForm } from '../../ui/form/useApiForm'
import { useLinkToken } from './linkToken'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

export function ResetPage() {
  const { t } = useTranslation('session')
  const token = useLinkToken()
  const [isSet, setIsSet] = useState(false)
  const form = useApiForm({
    initial: { password: '' },
    schema: z.object({ password: z.string().min(12, t('passwordShort')) }),
    send: ({ password }) => resetPassword(token, password),
    onDone: () => setIsSet(true),
  })
  return (
    <Outside title={t('resetTitle')}>
      {isSet ? (
        <p role="status">{t('resetDone')}</p>
      ) : (
        <form onSubmit={form.onSubmit} noValidate className={classes.form}>
          {form.failure !== null && (
            <Alert color="red" variant="light" icon={<Icon name="alert" />} role="alert">
              {form.failure}
            </Alert>
          )}
          <PasswordInput
            label={t('newPassword')}
            description={t('passwordHelp')}
            autoComplete="new-password"
            size="md"
            maxLength={1024}
            visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
            {...form.form.getInputProps('password')}
          />
          <Button type="submit" size="md" fullWidth loading={form.pending}>
            {t('resetAct')}
          </Button>
        </form>
      )}
      <Anchor renderRoot={(props) => <Link {...props} to="/login" />} size="sm" mt="md">
        {isSet ? t('title') : t('back')}
      </Anchor>
    </Outside>
  )
}
