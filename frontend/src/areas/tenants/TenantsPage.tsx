/** Every organisation: its share, its limits, and whether it may act at all. */
import { Button, Menu } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { saveExport, useTenantActs, useTenants, type TenantDetail } from '../../api/tenants'
import { act, attempt } from '../../ui/act'
import { count, day, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { RowMenu } from '../../ui/table/RowMenu'
import { Tag } from '../../ui/Tag'
import { failed } from '../../ui/toast'
import { CreateTenant } from './CreateTenant'
import { EditTenant } from './EditTenant'

export function TenantsPage() {
  const { t } = useTranslation('tenants')
  const list = useTenants()
  const { setSuspended, askDeletion, keep } = useTenantActs()
  const [creating, setCreating] = useState(false)
  const [editing, setEditing] = useState<TenantDetail | null>(null)
  const columns = useMemo(
    (): Column<TenantDetail>[] => [
      { id: 'name', header: t('name'), value: (row) => row.name, primary: true },
      { id: 'slug', header: t('slug'), value: (row) => row.slug, width: 160 },
      {
        id: 'state',
        header: t('state'),
        value: stateOf,
        cell: (row) => (
          <Tag tone={TONES[stateOf(row)]}>
            {row.deletes_at === null ? t(stateOf(row)) : t('deletingOn', { date: day(row.deletes_at) })}
          </Tag>
        ),
        width: 170,
      },
      {
        id: 'deletes',
        header: t('deletesOn'),
        value: (row) => row.deletes_at,
        cell: (row) =>
          row.deletes_at === null ? '–' : <time title={exactly(row.deletes_at)}>{day(row.deletes_at)}</time>,
        width: 120,
        hidden: true,
      },
      { id: 'weight', header: t('weight'), value: (row) => row.weight, align: 'right', width: 100 },
      { id: 'rpm', header: t('requests'), value: (row) => row.limits.requests_per_minute, cell: (row) => limit(row.limits.requests_per_minute), align: 'right', width: 150 },
      { id: 'tpm', header: t('tokens'), value: (row) => row.limits.tokens_per_minute, cell: (row) => limit(row.limits.tokens_per_minute), align: 'right', width: 140 },
      { id: 'concurrent', header: t('concurrent'), value: (row) => row.limits.concurrent_requests, cell: (row) => limit(row.limits.concurrent_requests), align: 'right', width: 140 },
      { id: 'nodes', header: t('mayJoin'), value: (row) => (row.is_operator || row.may_join_nodes ? t('yes') : t('no')), width: 120, hidden: true },
      {
        id: 'created',
        header: t('created'),
        value: (row) => row.created_at,
        cell: (row) => <time title={exactly(row.created_at)}>{when(row.created_at)}</time>,
        width: 150,
        hidden: true,
      },
    ],
    [t],
  ) // prettier-ignore
  const suspend = async (row: TenantDetail, suspended: boolean) => {
    const run = () => setSuspended.mutateAsync({ id: row.id, suspended })
    if (!suspended) return attempt(run, t('resumedDone', { name: row.name }))
    const question = {
      title: t('suspendTitle', { name: row.name }),
      consequence: t('suspendText'),
      action: t('suspend'),
      danger: true,
      type: row.slug,
    }
    return act(question, run, t('suspendedDone', { name: row.name }))
  }
  const remove = (row: TenantDetail) => {
    const question = {
      title: t('deleteTitle', { name: row.name }),
      consequence: t('deleteText'),
      action: t('delete'),
      danger: true,
      type: row.slug,
    }
    return act(question, () => askDeletion.mutateAsync(row), t('deletedDone', { name: row.name }))
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <Button leftSection={<IconPlus size={16} />} onClick={() => setCreating(true)}>
          {t('create')}
        </Button>
      }
    >
      <DataTable
        id="tenants"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        rowActions={(row) => (
          <RowMenu of={row.name}>
            <Menu.Item onClick={() => setEditing(row)}>{t('edit')}</Menu.Item>
            {row.deletes_at !== null && (
              <>
                <Menu.Item onClick={() => void saveExport(row).catch(failed)}>{t('export')}</Menu.Item>
                <Menu.Item
                  onClick={() =>
                    void attempt(() => keep.mutateAsync(row.id), t('keptDone', { name: row.name }))
                  }
                >
                  {t('keep')}
                </Menu.Item>
              </>
            )}
            {!row.is_operator && row.deletes_at === null && (
              <>
                <Menu.Item onClick={() => void suspend(row, row.suspended_at === null)}>
                  {t(row.suspended_at === null ? 'suspend' : 'resume')}
                </Menu.Item>
                <Menu.Item color="red" onClick={() => void remove(row)}>
                  {t('delete')}
                </Menu.Item>
              </>
            )}
          </RowMenu>
        )}
        empty={<PageEmpty title={t('none')} />}
      />
      {creating && <CreateTenant onClose={() => setCreating(false)} />}
      {editing !== null && <EditTenant tenant={editing} onClose={() => setEditing(null)} />}
    </Page>
  )
}

const TONES = { active: 'ok', suspended: 'warn', deleting: 'bad', operator: 'accent' } as const

function stateOf(row: TenantDetail): keyof typeof TONES {
  if (row.deletes_at !== null) return 'deleting'
  if (row.suspended_at !== null) return 'suspended'
  return row.is_operator ? 'operator' : 'active'
}

const limit = (value: number | null | undefined): string => (value == null ? '–' : count(value))
