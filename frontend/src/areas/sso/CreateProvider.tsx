/** The dialog that sets an identity provider up; the rest is on its page. */
import { PasswordInput, Select, Textarea, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useCreateProvider, useRoleSlugs, type Kind } from '../../api/sso'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { ADDRESSES, DirectoryFields, linesOf } from './LdapForm'

const KINDS = ['oidc', 'saml', 'ldap'] as const

interface Written extends Record<string, unknown> {
  kind: Kind
  name: string
  issuer: string
  client_id: string
  client_secret: string
  metadata_url: string
  metadata: string
  addresses: string
  default_role: string | null
}

export function CreateProvider({ onClose, onMade }: { onClose: () => void; onMade: (id: string) => void }) {
  const { t } = useTranslation('sso')
  const create = useCreateProvider()
  const roles = useRoleSlugs().data ?? []
  const named = z.string().trim().min(1, t('needed'))
  const making = useApiForm<Written, { id: string }>({
    initial: {
      kind: 'oidc',
      name: '',
      issuer: '',
      client_id: '',
      client_secret: '',
      metadata_url: '',
      metadata: '',
      addresses: '',
      default_role: null,
    },
    schema: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('oidc'), name: named, issuer: z.url(t('needsUrl')), client_id: named }),
      z
        .object({ kind: z.literal('saml'), name: named, metadata_url: z.string(), metadata: z.string() })
        .refine(({ metadata, metadata_url }) => metadata.trim() !== '' || metadata_url.trim() !== '', {
          path: ['metadata_url'],
          message: t('saml.metadataNeeded'),
        }),
      z.object({
        kind: z.literal('ldap'),
        name: named,
        addresses: z.string().regex(ADDRESSES, t('ldap.needsAddress')),
        issuer: named,
        client_id: named,
        client_secret: named,
      }),
    ]),
    send: ({
      kind,
      name,
      default_role,
      issuer,
      client_id,
      client_secret,
      addresses,
      metadata,
      metadata_url,
    }) =>
      create.mutateAsync({
        kind,
        name,
        default_role: default_role === '' ? null : default_role,
        ...(kind !== 'saml' && { issuer, client_id, client_secret }),
        ...(kind === 'ldap' && { ldap: { addresses: linesOf(addresses) } }),
        ...(kind === 'saml' && {
          saml: metadata_url.trim() === '' ? { metadata } : { metadata_url: metadata_url.trim() },
        }),
      }),
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
      <Select
        label={t('kind')}
        description={t('kindText')}
        data={KINDS.map((each) => ({ value: each, label: t(`kinds.${each}`) }))}
        allowDeselect={false}
        {...form.getInputProps('kind')}
      />
      {form.values.kind === 'oidc' && (
        <>
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
        </>
      )}
      {form.values.kind === 'saml' && (
        <>
          <TextInput
            label={t('saml.metadataUrl')}
            description={t('saml.metadataUrlText')}
            placeholder={t('saml.metadataUrlExample')}
            {...form.getInputProps('metadata_url')}
          />
          <Textarea
            label={t('saml.metadata')}
            description={t('saml.metadataText')}
            rows={4}
            spellCheck={false}
            {...form.getInputProps('metadata')}
          />
        </>
      )}
      {form.values.kind === 'ldap' && <DirectoryFields form={form} />}
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
