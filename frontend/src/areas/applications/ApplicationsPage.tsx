/** The front ends whose people log in here, who may use each, and the addresses that one is set up with. */
import { Button, Menu } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useApplicationActs, useApplications, type Application } from '../../api/applications'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { Dialog } from '../../ui/Dialog'
import { exactly, when } from '../../ui/format'
import { Once } from '../../ui/Once'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { RowMenu } from '../../ui/table/RowMenu'
import { Tag } from '../../ui/Tag'
import { ApplicationForm } from './ApplicationForm'

interface Shown {
  id: string
  secret: string
}

export function ApplicationsPage() {
  const { t } = useTranslation('applications')
  const mayManage = useMay('sso.manage')
  const list = useApplications()
  const { change, rotate, remove } = useApplicationActs()
  const [edited, setEdited] = useState<Application | 'new' | null>(null)
  const [made, setMade] = useState<Shown | null>(null)
  const users = (row: Application) =>
    row.for_everybody ? t('everybody') : [...row.roles, ...row.teams].join(', ') || t('nobody')
  const columns: Column<Application>[] = [
    { id: 'name', header: t('name'), value: (row) => row.name, primary: true },
    { id: 'client', header: t('client'), value: (row) => row.id, width: 310 },
    { id: 'users', header: t('users'), value: users, width: 180 },
    {
      id: 'redirects',
      header: t('redirects'),
      value: (row) => row.redirect_uris.join(', '),
      width: 260,
      hidden: true,
    },
    {
      id: 'used',
      header: t('used'),
      value: (row) => row.used_at,
      cell: (row) =>
        row.used_at === null ? t('never') : <time title={exactly(row.used_at)}>{when(row.used_at)}</time>,
      width: 130,
    },
    {
      id: 'state',
      header: t('state'),
      value: (row) => (row.enabled ? t('on') : t('off')),
      cell: (row) => <Tag tone={row.enabled ? 'ok' : 'plain'}>{row.enabled ? t('on') : t('off')}</Tag>,
      width: 120,
    },
  ]
  const another = async (row: Application) => {
    await act(
      {
        title: t('rotateTitle', { name: row.name }),
        consequence: t('rotateText'),
        action: t('rotate'),
        danger: true,
      },
      async () => {
        const rotated = await rotate.mutateAsync(row.id)
        setMade({ id: rotated.id, secret: rotated.client_secret })
      },
      t('rotated', { name: row.name }),
    )
  }
  const switchTo = async (row: Application, enabled: boolean) => {
    await act(
      {
        title: t(enabled ? 'switchOnTitle' : 'switchOffTitle', { name: row.name }),
        consequence: t(enabled ? 'switchOnText' : 'switchOffText'),
        action: t(enabled ? 'switchOn' : 'switchOff'),
        danger: !enabled,
      },
      () => change.mutateAsync({ id: row.id, enabled }),
      t('saved', { name: row.name }),
    )
  }
  const end = async (row: Application) => {
    await act(
      {
        title: t('deleteTitle', { name: row.name }),
        consequence: t('deleteText'),
        action: t('delete'),
        danger: true,
      },
      () => remove.mutateAsync(row.id),
      t('deleted', { name: row.name }),
    )
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setEdited('new')}>
            {t('new')}
          </Button>
        )
      }
    >
      <Card title={t('setUp')}>
        <p>{t('setUpText')}</p>
        <Command
          named
          label={t('discovery')}
          text={`${window.location.origin}/.well-known/openid-configuration`}
          wrap
        />
      </Card>
      <DataTable
        id="applications"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
        {...(mayManage && {
          rowActions: (row: Application) => (
            <RowMenu of={row.name}>
              <Menu.Item onClick={() => setEdited(row)}>{t('edit')}</Menu.Item>
              {!row.public && <Menu.Item onClick={() => void another(row)}>{t('rotate')}</Menu.Item>}
              <Menu.Item onClick={() => void switchTo(row, !row.enabled)}>
                {t(row.enabled ? 'switchOff' : 'switchOn')}
              </Menu.Item>
              <Menu.Item color="red" onClick={() => void end(row)}>
                {t('delete')}
              </Menu.Item>
            </RowMenu>
          ),
        })}
      />
      {edited !== null && (
        <ApplicationForm
          application={edited === 'new' ? null : edited}
          onClose={() => setEdited(null)}
          onMade={(created) => setMade({ id: created.id, secret: created.client_secret })}
        />
      )}
      <Dialog opened={made !== null} onClose={() => setMade(null)} title={t('made')} held>
        {made !== null && <MadeApplication made={made} onDone={() => setMade(null)} />}
      </Dialog>
    </Page>
  )
}

function MadeApplication({ made, onDone }: { made: Shown; onDone: () => void }) {
  const { t } = useTranslation('applications')
  if (made.secret === '')
    return (
      <>
        <Command named label={t('client')} text={made.id} wrap />
        <p>{t('noSecret')}</p>
        <Button onClick={onDone}>{t('close')}</Button>
      </>
    )
  return (
    <Once label={t('secret')} text={made.secret} onDone={onDone}>
      <Command named label={t('client')} text={made.id} wrap />
      <p>{t('secretText')}</p>
    </Once>
  )
}
