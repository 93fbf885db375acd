/** How a provider is reached and read. */
import { PasswordInput, Switch, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangeProvider, type Provider } from '../../api/sso'
import { FormCard } from '../../ui/form/FormCard'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function ProviderForm({ provider, mayManage }: { provider: Provider; mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const change = useChangeProvider(provider.id)
  const byOidc = provider.kind === 'oidc'
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
      issuer: byOidc ? z.url(t('needsUrl')) : z.string(),
      client_id: z.string().trim().min(1, t('needed')),
      email_claim: z.string().trim().min(1, t('needed')),
    }),
    send: ({ client_secret, scopes, issuer, client_id, ...values }) =>
      change.mutateAsync({
        ...values,
        ...(byOidc ? { issuer, client_id, scopes: scopes.split(/\s+/).filter((each) => each !== '') } : {}),
        // One that was not typed stays as it is.
        ...(client_secret === '' ? {} : { client_secret }),
      }),
    onDone: () => {
      done(t('saved'))
    },
  })
  const { form } = saving
  return (
    <FormCard title={t('settings')} of={saving} mayChange={mayManage}>
      <TextInput label={t('name')} description={t('nameText')} {...form.getInputProps('name')} />
      {byOidc && (
        <>
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
        </>
      )}
      <TextInput label={t('emailClaim')} {...form.getInputProps('email_claim')} />
      <Switch
        label={t('createsUsers')}
        description={t('createsUsersText')}
        {...form.getInputProps('creates_users', { type: 'checkbox' })}
      />
      <Switch label={t('enabledLabel')} {...form.getInputProps('enabled', { type: 'checkbox' })} />
    </FormCard>
  )
}
