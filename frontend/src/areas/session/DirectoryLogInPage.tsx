/** Takes name and password for a directory, which knows whether they are right: where other providers have a page of their own. */
import { Alert, Anchor, Button, PasswordInput, TextInput } from '@mantine/core'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { logInAtDirectory } from '../../api/sso'
import { useApiForm } from '../../ui/form/useApiForm'
import { Icon } from '../../ui/Icon'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

const route = getRouteApi('/log-in-directory')

export function DirectoryLogInPage() {
  const { t } = useTranslation('session')
  const { provider, asked, login } = route.useSearch()
  const trying = useApiForm({
    initial: { login, password: '' },
    schema: z.object({
      login: z.string().trim().min(1, t('directory.needed')),
      password: z.string().min(1, t('directory.needed')),
    }),
    send: (values) => logInAtDirectory({ provider, asked, ...values }),
    // Another page of the console, or this one's own start: what was kept of who was here before goes.
    onDone: ({ url }) => window.location.assign(url),
  })
  return (
    <Outside title={t('directory.title')}>
      {provider === '' || asked === '' ? (
        <p role="alert">{t('directory.missing')}</p>
      ) : (
        <form onSubmit={trying.onSubmit} noValidate className={classes.form}>
          {trying.failure !== null && (
            <Alert color="red" variant="light" icon={<Icon name="alert" />} role="alert">
              {trying.failure}
            </Alert>
          )}
          <p className={classes.text}>{t('directory.text')}</p>
          <TextInput
            label={t('directory.login')}
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            size="md"
            maxLength={255}
            {...trying.form.getInputProps('login')}
          />
          <PasswordInput
            label={t('password')}
            autoComplete="current-password"
            size="md"
            maxLength={1000}
            visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
            {...trying.form.getInputProps('password')}
          />
          <Button type="submit" size="md" fullWidth loading={trying.pending}>
            {t('directory.act')}
          </Button>
        </form>
      )}
      <Anchor renderRoot={(props) => <Link {...props} to="/login" />} size="sm" mt="md">
        {t('back')}
      </Anchor>
    </Outside>
  )
}
