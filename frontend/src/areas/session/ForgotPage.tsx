/** Asks for a letter with a link that sets a new password. It says the same whoever asks. */
import { Alert, Anchor, Button, TextInput } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { askForReset } from '../../api/members'
import { Icon } from '../../ui/Icon'
import { useApiForm } from '../../ui/form/useApiForm'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

export function ForgotPage() {
  const { t, i18n } = useTranslation('session')
  const [sent, setSent] = useState(false)
  const form = useApiForm({
    initial: { email: '' },
    schema: z.object({ email: z.string().regex(/^\S+@\S+$/, t('emailNeeded')) }),
    send: ({ email }) => askForReset(email.trim(), i18n.resolvedLanguage === 'de' ? 'de' : 'en'),
    onDone: () => setSent(true),
  })
  return (
    <Outside title={t('forgotTitle')}>
      {sent ? (
        <p role="status">{t('forgotSent', { email: form.form.values.email })}</p>
      ) : (
        <form onSubmit={form.onSubmit} noValidate className={classes.form}>
          {form.failure !== null && (
            <Alert color="red" variant="light" icon={<Icon name="alert" />} role="alert">
              {form.failure}
            </Alert>
          )}
          <p>{t('forgotText')}</p>
          <TextInput
            label={t('email')}
            type="email"
            autoComplete="username"
            size="md"
            maxLength={254}
            {...form.form.getInputProps('email')}
          />
          <Button type="submit" size="md" fullWidth loading={form.pending}>
            {t('forgotAct')}
          </Button>
        </form>
      )}
      <Anchor renderRoot={(props) => <Link {...props} to="/login" />} size="sm" mt="md">
        {t('back')}
      </Anchor>
    </Outside>
  )
}
