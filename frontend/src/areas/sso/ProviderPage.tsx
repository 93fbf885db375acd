/** One identity provider: how it is reached, which roles its people get (with a dry run), and a test that shows each claim. */
import { Button, Tabs } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../api/session'
import { useBeginTest, useProvider, useTested, type Provider } from '../../api/sso'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { Loaded } from '../../ui/PageState'
import { Page } from '../../ui/Page'
import { Tag } from '../../ui/Tag'
import { failed } from '../../ui/toast'
import { Directory } from './Directory'
import { LdapForm } from './LdapForm'
import { ProviderForm } from './ProviderForm'
import { RoleRules } from './RoleRules'
import { AtTheSamlProvider, SamlForm } from './SamlForm'
import classes from './Sso.module.css'
import { TestResult } from './TestResult'

const route = getRouteApi('/inside/single-sign-on/$id')
const TABS = ['settings', 'roles', 'directory', 'test'] as const

export function ProviderPage() {
  const { t } = useTranslation('sso')
  const { id } = route.useParams()
  return (
    <Loaded query={useProvider(id)}>
      {(provider) => <Shown key={provider.id} provider={provider} title={t('title')} />}
    </Loaded>
  )
}

function Shown({ provider, title }: { provider: Provider; title: string }) {
  const { t } = useTranslation('sso')
  const mayManage = useMay('sso.manage')
  const navigate = route.useNavigate()
  const { tab = 'settings' } = route.useSearch()
  const begin = useBeginTest(provider.id)
  const tested = useTested(provider.id, mayManage && tab === 'test')
  const test = () => {
    begin.mutate(undefined, {
      onSuccess: (url) => {
        window.location.assign(url)
      },
      onError: failed,
    })
  }
  return (
    <Page
      title={provider.name}
      documentTitle={`${provider.name} · ${title}`}
      lead={provider.issuer}
      beside={
        <Tag tone={provider.enabled ? 'ok' : 'plain'}>{t(provider.enabled ? 'enabled' : 'disabled')}</Tag>
      }
      actions={
        mayManage ? (
          <Button onClick={test} loading={begin.isPending}>
            {t('test')}
          </Button>
        ) : undefined
      }
    >
      <Tabs
        value={tab}
        onChange={(value) =>
          void navigate({ search: value === null || value === 'settings' ? {} : { tab: value } })
        }
        keepMounted={false}
      >
        <Tabs.List mb="md">
          {TABS.map((each) => (
            <Tabs.Tab key={each} value={each}>
              {t(`tab.${each}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="settings">
          <div className={classes.stack}>
            {provider.kind === 'oidc' && (
              <Card title={t('atTheProvider')}>
                <div className={classes.stack}>
                  <p className={classes.text}>{t('atTheProviderText')}</p>
                  <Command label={t('redirectUri')} text={provider.redirect_uri} named wrap />
                  <Command label={t('backChannelUri')} text={provider.back_channel_uri} named wrap />
                </div>
              </Card>
            )}
            {provider.saml !== null && <AtTheSamlProvider provider={provider} saml={provider.saml} />}
            {provider.saml !== null && (
              <SamlForm provider={provider} saml={provider.saml} mayManage={mayManage} />
            )}
            {provider.ldap !== null && (
              <LdapForm provider={provider} ldap={provider.ldap} mayManage={mayManage} />
            )}
            <ProviderForm provider={provider} mayManage={mayManage} />
          </div>
        </Tabs.Panel>
        <Tabs.Panel value="roles">
          <RoleRules provider={provider} mayManage={mayManage} />
        </Tabs.Panel>
        <Tabs.Panel value="directory">
          <Directory provider={provider.id} mayManage={mayManage} />
        </Tabs.Panel>
        <Tabs.Panel value="test">
          <TestResult tested={tested.data} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  )
}
