/** The tenant's identity providers, its domains, whether it requires single sign-on, and its break-glass accounts. */
import { Button } from '@mantine/core'
import { IconPlus, IconTrash } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../api/session'
import { useDeleteProvider, useProviders, type Provider } from '../../api/sso'
import { act } from '../../ui/act'
import { exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { CreateProvider } from './CreateProvider'
import { Domains } from './Domains'
import { Enforcement } from './Enforcement'
import { SignIn } from './SignIn'
import classes from './Sso.module.css'

export function SingleSignOnPage() {
  const { t } = useTranslation('sso')
  const navigate = useNavigate()
  const mayManage = useMay('sso.manage')
  const list = useProviders()
  const remove = useDeleteProvider()
  const [creating, setCreating] = useState(false)
  const columns = useMemo(
    (): Column<Provider>[] => [
      { id: 'name', header: t('name'), value: (each) => each.name, primary: true },
      { id: 'issuer', header: t('issuer'), value: (each) => each.issuer },
      {
        id: 'state',
        header: t('state'),
        value: (each) => each.enabled,
        cell: (each) => (
          <Tag tone={each.enabled ? 'ok' : 'plain'}>{t(each.enabled ? 'enabled' : 'disabled')}</Tag>
        ),
        width: 130,
      },
      { id: 'role', header: t('defaultRole'), value: (each) => each.default_role, width: 150 },
      {
        id: 'rules',
        header: t('rules'),
        value: (each) => each.rules.length,
        align: 'right',
        width: 90,
      },
      {
        id: 'created',
        header: t('created'),
        value: (each) => each.created_at,
        cell: (each) => <time title={exactly(each.created_at)}>{when(each.created_at)}</time>,
        width: 150,
      },
    ],
    [t],
  )
  const drop = async (some: readonly Provider[]) => {
    const names = some.map((each) => each.name).join(', ')
    await act(
      {
        title: t('deleteTitle', { name: names }),
        consequence: t('deleteText'),
        action: t('delete'),
        danger: true,
      },
      async () => {
        for (const each of some) await remove.mutateAsync(each.id)
      },
      t('deleted', { name: names }),
    )
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage ? (
          <Button
            leftSection={<IconPlus size={16} />}
            onClick={() => {
              setCreating(true)
            }}
          >
            {t('add')}
          </Button>
        ) : undefined
      }
    >
      <div className={classes.stack}>
        <DataTable<Provider>
          id="sso-providers"
          label={t('providers')}
          columns={columns}
          list={list}
          idOf={(each) => each.id}
          linkOf={(each) => ({ to: '/single-sign-on/$id', params: { id: each.id } })}
          empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
          {...(mayManage
            ? {
                acts: [{ label: t('delete'), icon: IconTrash, run: (some) => void drop(some) }],
              }
            : {})}
        />
        <Domains mayManage={mayManage} />
        <Enforcement mayManage={mayManage} />
        <SignIn mayManage={mayManage} />
      </div>
      {creating && (
        <CreateProvider
          onClose={() => {
            setCreating(false)
          }}
          onMade={(id) => void navigate({ to: '/single-sign-on/$id', params: { id } })}
        />
      )}
    </Page>
  )
}
