/** Every setting of the installation: its value, where that comes from, and what it does. Secrets are hidden. */
import { Text } from '@mantine/core'
import { IconLock } from '@tabler/icons-react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useSettings, type Setting } from '../../api/installation'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import classes from './SettingsPage.module.css'

export function Installation() {
  const { t } = useTranslation('settings')
  const settings = useSettings()
  const columns = useMemo(
    (): Column<Setting>[] => [
      {
        id: 'name',
        header: t('setting'),
        value: (setting) => setting.name,
        cell: (setting) => <code className={classes.mono}>{setting.name}</code>,
        primary: true,
        width: 330,
      },
      {
        id: 'value',
        header: t('value'),
        value: (setting) => setting.value,
        cell: (setting) => <Value setting={setting} />,
        width: 230,
      },
      {
        id: 'source',
        header: t('source'),
        value: (setting) => setting.source,
        cell: (setting) => (
          <Tag tone={setting.source === 'environment' ? 'accent' : 'plain'}>{t(setting.source)}</Tag>
        ),
        width: 130,
        filter: [
          { value: 'environment', label: t('environment') },
          { value: 'default', label: t('default') },
        ],
      },
      {
        id: 'help',
        header: t('effect'),
        value: (setting) => setting.help,
        cell: (setting) => <span title={setting.help}>{setting.help}</span>,
      },
    ],
    [t],
  )
  return (
    <>
      <Text size="sm" c="dimmed">
        {t('installationText')}
      </Text>
      <DataTable
        id="settings"
        label={t('installation')}
        columns={columns}
        list={{ rows: settings.data, error: settings.error, refetch: settings.refetch }}
        idOf={(setting) => setting.name}
        empty={<PageEmpty title={t('none')} />}
      />
    </>
  )
}

function Value({ setting }: { setting: Setting }) {
  const { t } = useTranslation('settings')
  if (setting.hidden) {
    return (
      <span>
        <IconLock size={13} aria-hidden="true" /> {t('hidden')}
      </span>
    )
  }
  if (setting.value === '' || setting.value === null) return <span>{t('empty')}</span>
  return (
    <code className={`${classes.mono ?? ''} ${classes.value ?? ''}`} title={setting.value}>
      {setting.value}
    </code>
  )
}
