/** How a provider is reached and read. */
import { Alert, Button, PasswordInput, Switch, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangeProvider, type Provider } from '../../api/sso'
import { Card } from '../../ui/Card'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import classes from './Sso.module.css'

export function ProviderForm({ provider, mayManage }: { provider: Provider; mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const change = useChangeProvider(provider.id)
  const saving = useApiForm({
    initial: {
      name: provider.name,
      issuer: provider.issuer,
      client_id: provider.client_id,
      client_secret: '',
      scopes: provider.scopes.join(' '),
      email_claim: provider.email_claim,
      creates_users: provider.creates_users,
      enabled: provider.enabled,
    },
    schema: z.object({
      name: z.string().trim().min(1, t('needed')),
      issuer: z.url(t('needsUrl')),
      client_id: z.string().trim().min(1, t('needed')),
      email_claim: z.string().trim().min(1, t('needed')),
    }),
    send: ({ client_secret, scopes, ...values }) =>
      change.mutateAsync({
        ...values,
        scopes: scopes.split(/\s+/).filter((each) => each !== ''),
        // One that was not typed stays as it is.
        ...(client_secret === '' ? {} : { client_secret }),
      }),
    onDone: () => {
      done(t('saved'))
    },
  })
  const { form } = saving
  return (
    <Card title={t('settings')}>
      <form onSubmit={saving.onSubmit} noValidate>
        <fieldset disabled={!mayManage} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
          <div className={classes.stack}>
            <TextInput label={t('name')} description={t('nameText')} {...form.getInputProps('name')} />
            <TextInput label={t('issuer')} description={t('issuerText')} {...form.getInputProps('issuer')} />
            <TextInput label={t('clientId')} autoComplete="off" {...form.getInputProps('client_id')} />
            <PasswordInput
              label={t('secret')}
              description={t(provider.has_secret ? 'secretThere' : 'secretText')}
              autoComplete="off"
              visibilityToggleButtonProps={{ 'aria-label': t('showSecret') }}
              {...form.getInputProps('client_secret')}
            />
            <TextInput label={t('scopes')} description={t('scopesText')} {...form.getInputProps('scopes')} />
            <TextInput label={t('emailClaim')} {...form.getInputProps('email_claim')} />
            <Switch
              label={t('createsUsers')}
              description={t('createsUsersText')}
              {...form.getInputProps('creates_users', { type: 'checkbox' })}
            />
            <Switch label={t('enabledLabel')} {...form.getInputProps('enabled', { type: 'checkbox' })} />
            {saving.failure !== null && (
              <Alert color="red" variant="light" role="alert">
                {saving.failure}
              </Alert>
            )}
            {mayManage && (
              <div className={classes.buttons}>
                <Button type="submit" loading={saving.pending}>
                  {t('save')}
                </Button>
              </div>
            )}
          </div>
        </fieldset>
      </form>
    </Card>
  )
}
