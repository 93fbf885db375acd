/** The limits of the organisation and of its keys in one place, each with what is used of it at this moment. */
import { Button } from '@mantine/core'
import { IconPencil } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  USED_NAMES,
  useKeyLimits,
  useTenantLimits,
  type KeyLimits,
  type KeyLimitsAsked,
  type TenantLimits,
} from '../../api/limits'
import { orderingOf } from '../../api/pages'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { measure } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import { hiddenOf, type Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { EditLimits, type Subject } from './EditLimits'
import classes from './LimitsPage.module.css'
import { Used } from './Used'

/** Not shown until they are chosen: all of them have no room beside each other. */
const LESS_ASKED: ReadonlySet<string> = new Set(['input_tokens_per_minute', 'output_tokens_per_minute'])

export function LimitsPage() {
  const { t } = useTranslation('limits')
  const isOperator = useMay('tenant.manage')
  const mayManage = useMay('key.manage')
  const [editing, setEditing] = useState<Subject | null>(null)
  const tenant = useTenantLimits()
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        isOperator &&
        tenant.data !== undefined && (
          <Button
            size="sm"
            leftSection={<IconPencil size={16} />}
            onClick={() => {
              setEditing({ kind: 'tenant', ...tenant.data })
            }}
          >
            {t('changeTenant')}
          </Button>
        )
      }
    >
      <Loaded query={tenant}>{(found) => <OfTenant tenant={found} isOperator={isOperator} />}</Loaded>
      <OfKeys
        onEdit={
          mayManage
            ? (key) => {
                setEditing({ kind: 'key', ...key })
              }
            : null
        }
      />
      {editing !== null && (
        <EditLimits
          key={editing.id}
          of={editing}
          onClose={() => {
            setEditing(null)
          }}
        />
      )}
    </Page>
  )
}

function OfTenant({ tenant, isOperator }: { tenant: TenantLimits; isOperator: boolean }) {
  const { t } = useTranslation('limits')
  return (
    <Card
      title={t('ofTenant', { name: tenant.name })}
      aside={t('weight', { weight: measure(tenant.weight) })}
    >
      <div className={classes.tenant}>
        {USED_NAMES.map((name) => (
          <Used key={name} label={t(name)} limit={tenant.limits[name] ?? null} used={tenant.used[name]} />
        ))}
      </div>
      {!isOperator && <p className={classes.none}>{t('operators')}</p>}
    </Card>
  )
}

function OfKeys({ onEdit }: { onEdit: ((key: KeyLimits) => void) | null }) {
  const { t } = useTranslation('limits')
  const columns = useMemo(
    (): Column<KeyLimits>[] => [
      { id: 'name', header: t('key'), value: (key) => key.name, primary: true, orderBy: 'name' },
      ...USED_NAMES.map((name): Column<KeyLimits> => ({
        id: name,
        header: t(name),
        value: (key) => key.limits[name] ?? null,
        cell: (key) => <Used label={t(name)} limit={key.limits[name] ?? null} used={key.used[name]} short />,
        width: 210,
        hidden: LESS_ASKED.has(name),
      })),
      {
        id: 'priority',
        header: t('priority'),
        value: (key) => key.priority,
        cell: (key) => t(`class.${key.priority}`),
        width: 110,
      },
    ],
    [t],
  )
  const view = useTableState({ sort: { id: 'name', desc: false }, hidden: hiddenOf(columns) })
  const { text, sort } = view.state
  const list = useKeyLimits({
    ordering: (orderingOf(sort, columns) ?? 'name') as KeyLimitsAsked['ordering'],
    ...(text === '' ? {} : { name: text }),
  })
  return (
    <DataTable
      id="limits"
      label={t('ofKeys')}
      columns={columns}
      list={list}
      view={view}
      live
      idOf={(key) => key.id}
      {...(onEdit === null
        ? {}
        : {
            rowActions: (key: KeyLimits) => (
              <Button
                size="compact-xs"
                variant="subtle"
                aria-label={t('changeOf', { name: key.name })}
                onClick={() => {
                  onEdit(key)
                }}
              >
                {t('change')}
              </Button>
            ),
          })}
      empty={<PageEmpty title={t('noKey')}>{t('noKeyText')}</PageEmpty>}
    />
  )
}
