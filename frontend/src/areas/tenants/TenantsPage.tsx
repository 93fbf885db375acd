/** Every organisation: its share, its limits, and whether it may act at all. */
import { Button } from '@mantine/core'
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
        cell: (row) => <Tag tone={TONES[stateOf(row)]}>{t(stateOf(row))}</Tag>,
        width: 130,
      },
      {
        id: 'deletes',
        header: t('deletesOn'),
        value: (row) => row.deletes_at,
        cell: (row) =>
          row.deletes_at === null ? '–' : <time title={exactly(row.deletes_at)}>{day(row.deletes_at)}</time>,
        width: 120,
      },
      { id: 'weight', header: t('weight'), value: (row) => row.weight, align: 'right', width: 100 },
      { id: 'rpm', header: t('requests'), value: (row) => row.limits.requests_per_minute, cell: (row) => limit(row.limits.requests_per_minute), align: 'right', width: 150 },
      { id: 'tpm', header: t('tokens'), value: (row) => row.limits.tokens_per_minute, cell: (row) => limit(row.limits.tokens_per_minute), align: 'right', width: 140 },
      { id: 'concurrent', header: t('concurrent'), value: (row) => row.limits.concurrent_requests, cell: (row) => limit(row.limits.concurrent_requests), align: 'right', width: 140 },
      { id: 'nodes', header: t('mayJoin'), value: (row) => (row.is_operator || row.may_join_nodes ? t('yes') : t('no')), width: 120 },
      {
        id: 'created',
        header: t('created'),
        value: (row) => row.created_at,
        cell: (row) => <time title={exactly(row.created_at)}>{when(row.created_at)}</time>,
        width: 150,
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
        rowActionsWidth={220}
        rowActions={(row) => (
          <>
            <Button
              size="compact-xs"
              variant="subtle"
              aria-label={t('editOf', { name: row.name })}
              onClick={() => setEditing(row)}
            >
              {t('edit')}
            </Button>
            {row.deletes_at !== null && (
              <>
                <Button
                  size="compact-xs"
                  variant="subtle"
                  aria-label={t('exportOf', { name: row.name })}
                  onClick={() => void saveExport(row).catch(failed)}
                >
                  {t('export')}
                </Button>
                <Button
                  size="compact-xs"
                  variant="subtle"
                  aria-label={t('keepOf', { name: row.name })}
                  onClick={() =>
                    void attempt(() => keep.mutateAsync(row.id), t('keptDone', { name: row.name }))
                  }
                >
                  {t('keep')}
                </Button>
              </>
            )}
            {!row.is_operator && row.deletes_at === null && (
              <Button
                size="compact-xs"
                variant="subtle"
                color="red"
                aria-label={t('deleteOf', { name: row.name })}
                onClick={() => void remove(row)}
              >
                {t('delete')}
              </Button>
            )}
            {!row.is_operator && row.deletes_at === null && (
              <Button
                size="compact-xs"
                variant="subtle"
                {...(row.suspended_at === null ? { color: 'red' } : {})}
                aria-label={t(row.suspended_at === null ? 'suspendOf' : 'resumeOf', { name: row.name })}
                onClick={() => void suspend(row, row.suspended_at === null)}
              >
                {row.suspended_at === null ? t('suspend') : t('resume')}
              </Button>
            )}
          </>
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
