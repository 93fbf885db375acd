/** What a provider that speaks SAML is told of us, what its metadata say of it, and new metadata when its certificates change. */
import { Switch, Textarea, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangeProvider, type Provider, type SamlShown } from '../../api/sso'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { Fact, Facts } from '../../ui/Facts'
import { FormCard } from '../../ui/form/FormCard'
import { useApiForm } from '../../ui/form/useApiForm'
import { when } from '../../ui/format'
import { done } from '../../ui/toast'
import classes from './Sso.module.css'

export function AtTheSamlProvider({ provider, saml }: { provider: Provider; saml: SamlShown }) {
  const { t } = useTranslation('sso')
  return (
    <Card title={t('atTheProvider')}>
      <div className={classes.stack}>
        <p className={classes.text}>{t('saml.atText')}</p>
        <Command label={t('saml.metadataUri')} text={saml.metadata_uri} named wrap />
        <Command label={t('saml.entity')} text={provider.client_id} named wrap />
        <Command label={t('saml.acs')} text={saml.acs_uri} named wrap />
        <Command label={t('saml.logOut')} text={saml.log_out_uri} named wrap />
      </div>
    </Card>
  )
}

interface Written extends Record<string, unknown> {
  metadata_url: string
  metadata: string
  subject_claim: string
  unsolicited: boolean
  encrypted: boolean
}

export function SamlForm({
  provider,
  saml,
  mayManage,
}: {
  provider: Provider
  saml: SamlShown
  mayManage: boolean
}) {
  const { t } = useTranslation('sso')
  const change = useChangeProvider(provider.id)
  const saving = useApiForm<Written, Provider>({
    initial: {
      metadata_url: saml.metadata_url,
      metadata: '',
      subject_claim: saml.subject_claim,
      unsolicited: saml.unsolicited,
      encrypted: saml.encrypted,
    },
    schema: z.object({ metadata_url: z.string(), metadata: z.string() }),
    send: ({ metadata, metadata_url, ...values }) =>
      change.mutateAsync({
        saml: {
          ...values,
          // What was pasted counts before an address that was there.
          ...(metadata.trim() !== ''
            ? { metadata }
            : metadata_url.trim() !== ''
              ? { metadata_url: metadata_url.trim() }
              : {}),
        },
      }),
    onDone: () => {
      done(t('saved'))
    },
  })
  const { form } = saving
  return (
    <FormCard title={t('saml.trust')} of={saving} mayChange={mayManage}>
      <Facts>
        <Fact name={t('saml.issuer')}>{provider.issuer}</Fact>
        <Fact name={t('saml.sso')}>{saml.sso_url}</Fact>
        <Fact name={t('saml.slo')}>{saml.slo_url === '' ? t('saml.none') : saml.slo_url}</Fact>
        <Fact name={t('saml.certificates')}>
          {t('saml.certificateCount', { count: saml.certificates.length })}
        </Fact>
        <Fact name={t('saml.read')}>{when(saml.read_at)}</Fact>
      </Facts>
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
      <TextInput
        label={t('saml.subject')}
        description={t('saml.subjectText')}
        maxLength={100}
        {...form.getInputProps('subject_claim')}
      />
      <Switch
        label={t('saml.unsolicited')}
        description={t('saml.unsolicitedText')}
        {...form.getInputProps('unsolicited', { type: 'checkbox' })}
      />
      <Switch label={t('saml.encrypted')} {...form.getInputProps('encrypted', { type: 'checkbox' })} />
    </FormCard>
  )
}
