/** The memory of each node, now and after the plan: those that the plan changes first. */
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Placed, PlacementNode } from '../../api/placement'
import { bytesOf } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { nameOf } from './names'
import classes from './PlacementPage.module.css'

export function PlacementNodes({ nodes }: { nodes: readonly PlacementNode[] }) {
  const { t } = useTranslation('placement')
  const rows = useMemo(() => [...nodes].sort((a, b) => Number(isChanged(b)) - Number(isChanged(a))), [nodes])
  const columns = useMemo(
    (): Column<PlacementNode>[] => [
      { id: 'node', header: t('node'), value: (node) => node.node_name, primary: true, width: 180 },
      {
        id: 'change',
        header: t('change'),
        value: (node) => (isChanged(node) ? 'yes' : 'no'),
        cell: (node) =>
          isChanged(node) ? (
            <Tag tone="warn">{t('changes.yes')}</Tag>
          ) : (
            <Tag tone="plain">{t('changes.no')}</Tag>
          ),
        width: 130,
        filter: (['yes', 'no'] as const).map((value) => ({ value, label: t(`changes.${value}`) })),
      },
      {
        id: 'takes',
        header: t('takes'),
        value: (node) => t(node.takes ? 'takesSome' : 'takesNone'),
        cell: (node) => (node.takes ? t('takesSome') : <Tag tone="warn">{t('takesNone')}</Tag>),
        width: 165,
      },
      {
        id: 'now',
        header: t('now'),
        value: (node) => node.used_before,
        cell: (node) => <Held used={node.used_before} memory={node.memory} models={node.before} />,
      },
      {
        id: 'after',
        header: t('after'),
        value: (node) => node.used_after,
        cell: (node) => <Held used={node.used_after} memory={node.memory} models={node.after} />,
      },
    ],
    [t],
  )
  return (
    <DataTable
      id="placement-nodes"
      label={t('nodesTable')}
      columns={columns}
      list={{ rows }}
      idOf={(node) => node.node}
      linkOf={(node) => ({ to: '/nodes/$nodeId', params: { nodeId: node.node } })}
      live
      empty={<PageEmpty title={t('noNode')} />}
    />
  )
}

function Held({ used, memory, models }: { used: number; memory: number; models: readonly Placed[] }) {
  const { t } = useTranslation('placement')
  const names = models.map(nameOf).join(', ') || t('empty')
  return (
    <span title={names}>
      {bytesOf(used, memory)} <span className={classes.models}>{names}</span>
    </span>
  )
}

/** Whether other models are in its memory after the plan. */
function isChanged(node: PlacementNode): boolean {
  const versions = (models: readonly Placed[]) =>
    models
      .map((each) => each.version)
      .sort()
      .join(' ')
  return versions(node.before) !== versions(node.after)
}
