/** How a directory is asked: where, as whom, and how it finds people and groups. */
import { Alert, Button, PasswordInput, Textarea, TextInput } from '@mantine/core'
import type { UseFormReturnType } from '@mantine/form'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangeProvider, type LdapShown, type Provider } from '../../api/sso'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { useApiForm } from '../../ui/form/useApiForm'
import { when } from '../../ui/format'
import { done } from '../../ui/toast'
import classes from './Sso.module.css'

/** One address a line. */
export const ADDRESSES = /^\s*ldaps?:\/\/\S+(\s+ldaps?:\/\/\S+)*\s*$/
export const linesOf = (text: string) => text.split(/\s+/).filter((line) => line !== '')

interface Reached extends Record<string, unknown> {
  addresses: string
  issuer: string
  client_id: string
  client_secret: string
}

/** What is needed before anybody can be found; `known` where a password is kept already. */
export function DirectoryFields<Values extends Reached>({
  form,
  known = false,
}: {
  form: UseFormReturnType<Values>
  known?: boolean
}) {
  const { t } = useTranslation('sso')
  return (
    <>
      <Textarea
        label={t('ldap.addresses')}
        description={t('ldap.addressesText')}
        placeholder={t('ldap.addressesExample')}
        rows={2}
        spellCheck={false}
        {...form.getInputProps('addresses')}
      />
      <TextInput
        label={t('ldap.base')}
        description={t('ldap.baseText')}
        placeholder={t('ldap.baseExample')}
        spellCheck={false}
        {...form.getInputProps('issuer')}
      />
      <TextInput
        label={t('ldap.reader')}
        description={t('ldap.readerText')}
        placeholder={t('ldap.readerExample')}
        autoComplete="off"
        spellCheck={false}
        {...form.getInputProps('client_id')}
      />
      <PasswordInput
        label={t('ldap.password')}
        description={known ? t('ldap.passwordThere') : undefined}
        autoComplete="off"
        visibilityToggleButtonProps={{ 'aria-label': t('showSecret') }}
        {...form.getInputProps('client_secret')}
      />
    </>
  )
}

export function LdapForm({
  provider,
  ldap,
  mayManage,
}: {
  provider: Provider
  ldap: LdapShown
  mayManage: boolean
}) {
  const { t } = useTranslation('sso')
  const change = useChangeProvider(provider.id)
  const named = z.string().trim().min(1, t('needed'))
  const saving = useApiForm({
    initial: {
      addresses: ldap.addresses.join('\n'),
      issuer: provider.issuer,
      client_id: provider.client_id,
      client_secret: '',
      user_filter: ldap.user_filter,
      subject_attribute: ldap.subject_attribute,
      group_base: ldap.group_base,
      group_filter: ldap.group_filter,
      ca: ldap.ca,
    },
    schema: z.object({
      addresses: z.string().regex(ADDRESSES, t('ldap.needsAddress')),
      issuer: named,
      client_id: named,
      user_filter: named,
      subject_attribute: named,
    }),
    send: ({ addresses, issuer, client_id, client_secret, ...values }) =>
      change.mutateAsync({
        issuer,
        client_id,
        // One that was not typed stays as it is.
        ...(client_secret === '' ? {} : { client_secret }),
        ldap: { ...values, addresses: linesOf(addresses) },
      }),
    onDone: () => {
      done(t('saved'))
    },
  })
  const { form } = saving
  return (
    <Card title={t('ldap.title')}>
      <form onSubmit={saving.onSubmit} noValidate>
        <fieldset disabled={!mayManage} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
          <div className={classes.stack}>
            <p className={classes.text}>{t('ldap.syncText')}</p>
            <Facts>
              <Fact name={t('ldap.synced')}>
                {ldap.synced_at === null ? t('ldap.never') : when(ldap.synced_at)}
              </Fact>
            </Facts>
            {ldap.sync_error !== '' && (
              <Alert color="red" variant="light">
                {t('ldap.problem', { why: ldap.sync_error })}
              </Alert>
            )}
            <DirectoryFields form={form} known={provider.has_secret} />
            <TextInput
              label={t('ldap.userFilter')}
              description={t('ldap.userFilterText')}
              spellCheck={false}
              {...form.getInputProps('user_filter')}
            />
            <TextInput
              label={t('ldap.subject')}
              description={t('ldap.subjectText')}
              spellCheck={false}
              {...form.getInputProps('subject_attribute')}
            />
            <TextInput
              label={t('ldap.groupBase')}
              description={t('ldap.groupBaseText')}
              spellCheck={false}
              {...form.getInputProps('group_base')}
            />
            <TextInput
              label={t('ldap.groupFilter')}
              description={t('ldap.groupFilterText')}
              spellCheck={false}
              {...form.getInputProps('group_filter')}
            />
            <Textarea
              label={t('ldap.ca')}
              description={t('ldap.caText')}
              rows={4}
              spellCheck={false}
              {...form.getInputProps('ca')}
            />
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
