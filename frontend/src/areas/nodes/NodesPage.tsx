/** Every node, problems first: a map to see them all, a table to find one. */
import { Button } from '@mantine/core'
import { IconDropletDown, IconPlayerPause, IconPlayerPlay, IconPlus } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useSchedule } from '../../api/nodes'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { count, percent, perSecond } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import { DataTable } from '../../ui/table/DataTable'
import type { Column } from '../../ui/table/column'
import { Tag } from '../../ui/Tag'
import { failed } from '../../ui/toast'
import { DrainNodes } from './DrainNodes'
import { NodeMap } from './NodeMap'
import { isAbsent, type NodeCondition, type NodeListed } from './rows'
import { TONE } from './tone'
import { useNodeRows } from './useNodeRows'

const hottest = (row: NodeListed): number | null => row.view.gpu?.temperature_celsius ?? null
const load = (row: NodeListed): number | null => row.view.gpu?.load_percent ?? null
const memory = (row: NodeListed): number | null =>
  row.view.memory_used === null || row.view.memory_total === null
    ? null
    : percent(row.view.memory_used, row.view.memory_total)

export function NodesPage() {
  const { t } = useTranslation('nodes')
  const mayManage = useMay('node.manage')
  const schedule = useSchedule()
  const rows = useNodeRows()
  const columns = useColumns()
  const [draining, setDraining] = useState<readonly NodeListed[] | null>(null)
  const set = (chosen: readonly NodeListed[], change: { schedulable: boolean; drain_seconds?: number }) => {
    for (const row of chosen) schedule.mutate({ id: row.id, ...change }, { onError: failed })
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button component={Link} to="/nodes/join" leftSection={<IconPlus size={16} />}>
            {t('join')}
          </Button>
        )
      }
    >
      {rows !== undefined && rows.length > 0 && (
        <Card title={t('map')} aside={count(rows.length)}>
          <NodeMap rows={rows} label={t('map')} />
        </Card>
      )}
      <DataTable
        id="nodes"
        label={t('title')}
        columns={columns}
        list={{ rows }}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/nodes/$nodeId', params: { nodeId: row.id } })}
        toneOf={(row) =>
          isAbsent(row.condition) || row.condition === 'unhealthy'
            ? 'bad'
            : row.condition === 'degraded'
              ? 'warn'
              : undefined
        }
        acts={
          mayManage
            ? [
                {
                  label: t('cordon'),
                  icon: IconPlayerPause,
                  run: (chosen: readonly NodeListed[]) => {
                    set(chosen, { schedulable: false })
                  },
                },
                { label: t('drain'), icon: IconDropletDown, run: setDraining },
                {
                  label: t('resume'),
                  icon: IconPlayerPlay,
                  run: (chosen: readonly NodeListed[]) => {
                    set(chosen, { schedulable: true })
                  },
                },
              ]
            : []
        }
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
        live
      />
      {draining !== null && (
        <DrainNodes
          count={draining.length}
          onClose={() => {
            setDraining(null)
          }}
          onDrain={(seconds) => {
            set(draining, { schedulable: false, drain_seconds: seconds })
          }}
        />
      )}
    </Page>
  )
}

function useColumns(): readonly Column<NodeListed>[] {
  const { t } = useTranslation(['nodes', 'common'])
  return useMemo(() => {
    const conditions: readonly NodeCondition[] = [
      ...(['lost', 'unreachable', 'silent', 'unhealthy', 'degraded'] as const),
      ...(['draining', 'cordoned', 'joining', 'healthy'] as const),
    ]
    return [
      { id: 'name', header: t('name'), value: (row) => row.name, primary: true, width: 190 },
      {
        id: 'condition',
        header: t('state'),
        value: (row) => row.condition,
        cell: (row) => <Tag tone={TONE[row.condition]}>{t(`common:health.${row.condition}`)}</Tag>,
        filter: conditions.map((value) => ({ value, label: t(`common:health.${value}`) })),
        width: 120,
      },
      {
        id: 'why',
        header: t('why'),
        value: (row) => row.findings.map((each) => each.text).join(' '),
      },
      {
        id: 'running',
        header: t('running'),
        align: 'right',
        width: 110,
        value: (row) => row.view.running,
        cell: (row) =>
          row.view.running === null ? '–' : `${count(row.view.running)} / ${count(row.view.capacity ?? 0)}`,
      },
      {
        id: 'speed',
        header: t('speed'),
        align: 'right',
        width: 100,
        value: (row) => row.view.tokens_per_second,
        cell: (row) => (row.view.tokens_per_second === null ? '–' : perSecond(row.view.tokens_per_second)),
      },
      {
        id: 'gpu',
        header: t('gpuLoad'),
        align: 'right',
        width: 90,
        value: load,
        cell: (row) => wholeOr(load(row), '%'),
      },
      {
        id: 'heat',
        header: t('heat'),
        align: 'right',
        width: 90,
        value: hottest,
        cell: (row) => wholeOr(hottest(row), '°C'),
      },
      {
        id: 'memory',
        header: t('memory'),
        align: 'right',
        width: 100,
        value: memory,
        cell: (row) => wholeOr(memory(row), '%'),
      },
      {
        id: 'models',
        header: t('loaded'),
        value: (row) => row.view.loaded.join(', '),
        hidden: true,
      },
      { id: 'region', header: t('region'), value: (row) => row.view.region, width: 110, hidden: true },
      {
        id: 'version',
        header: t('agent'),
        value: (row) => row.view.agent_version,
        width: 110,
        hidden: true,
      },
    ]
  }, [t])
}

const wholeOr = (value: number | null, unit: string): string =>
  value === null ? '–' : `${value.toFixed(0)} ${unit}`
