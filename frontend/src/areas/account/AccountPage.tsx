/** My account: who one is, how the console speaks and looks, the password, and where one is logged in. */
import { Button, Select, useMantineColorScheme, type MantineColorScheme } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { preference, usePreference } from '../../app/preferences'
import { sessionQuery, useEnterTenant } from '../../api/session'
import { LANGUAGES, speak, type Language } from '../../i18n'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { dateTime } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { failed } from '../../ui/toast'
import classes from './AccountPage.module.css'
import { Factors } from './Factors'
import { PasswordForm } from './PasswordForm'
import { Sessions } from './Sessions'

const SCHEMES = ['light', 'dark', 'auto'] as const satisfies MantineColorScheme[]

export function AccountPage() {
  const { t } = useTranslation('account')
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Loaded query={useQuery(sessionQuery)}>
        {(session) => (
          <>
            <Card title={t('who')}>
              <Facts>
                <Fact name={t('name')}>{session.user?.name ?? '–'}</Fact>
                <Fact name={t('email')}>{session.user?.email ?? '–'}</Fact>
                <Fact name={t('tenant')}>{session.tenant?.name ?? t('noTenant')}</Fact>
                <Fact name={t('role')}>{session.tenant?.role ?? '–'}</Fact>
                {session.log_in !== null && <Fact name={t('since')}>{dateTime(session.log_in.at)}</Fact>}
              </Facts>
            </Card>
            <Card title={t('looks')}>
              <Looks />
            </Card>
            {session.tenants.length > 1 && (
              <Card title={t('tenants')} flush>
                <Tenants />
              </Card>
            )}
            <Card title={t('password')}>
              <PasswordForm email={session.user?.email ?? ''} />
            </Card>
          </>
        )}
      </Loaded>
      <Factors />
      <Sessions />
    </Page>
  )
}

function Looks() {
  const { t } = useTranslation()
  const { i18n } = useTranslation('account')
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  return (
    <div className={classes.choices}>
      <Select
        label={t('account.language')}
        data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
        value={i18n.language}
        allowDeselect={false}
        onChange={(value) => value !== null && void speak(value as Language)}
      />
      <ZoneSelect />
      <Select
        label={t('account.colours')}
        data={SCHEMES.map((value) => ({ value, label: t(`account.${value}`) }))}
        value={colorScheme}
        allowDeselect={false}
        onChange={(value) => {
          setColorScheme(SCHEMES.find((each) => each === value) ?? 'auto')
        }}
      />
    </div>
  )
}

function ZoneSelect() {
  const { t } = useTranslation()
  const zone = usePreference('zone')
  const zones = useMemo(() => Intl.supportedValuesOf('timeZone'), [])
  return (
    <Select
      label={t('account.zone')}
      placeholder={t('account.zoneLocal')}
      description={zone === null ? Intl.DateTimeFormat().resolvedOptions().timeZone : undefined}
      data={zones.includes('UTC') ? zones : ['UTC', ...zones]}
      value={zone}
      searchable
      clearable
      limit={100}
      onChange={(value) => {
        preference.set('zone', value)
      }}
    />
  )
}

function Tenants() {
  const { t } = useTranslation('account')
  const router = useRouter()
  const session = useQuery(sessionQuery).data
  const enter = useEnterTenant()
  return (
    <ul aria-label={t('tenants')}>
      {session?.tenants.map((tenant) => (
        <li key={tenant.id} className={classes.row}>
          <span>
            {tenant.name} <Tag tone="plain">{tenant.role}</Tag>
          </span>
          {tenant.id === session.tenant?.id ? (
            <Tag tone="accent">{t('here')}</Tag>
          ) : (
            <Button
              variant="subtle"
              size="compact-sm"
              aria-label={t('enterTenant', { name: tenant.name })}
              onClick={() => {
                enter.mutate(tenant.id, {
                  onSuccess: () => void router.navigate({ to: '/' }),
                  onError: failed,
                })
              }}
            >
              {t('enter')}
            </Button>
          )}
        </li>
      ))}
    </ul>
  )
}
