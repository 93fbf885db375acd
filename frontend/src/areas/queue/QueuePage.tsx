/** The queue: this organisation's requests that wait, with their places, and how the slots are shared. */
import { Button, Group } from '@mantine/core'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { usePrioritise, useQueue, type Queue, type WaitingRequest } from '../../api/requests'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { count, expected, plainId, share, span } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { numberColumn } from '../../ui/table/numberColumn'
import { useTableState } from '../../ui/table/useTableState'
import { Tile } from '../../ui/Tile'
import { done, failed } from '../../ui/toast'
import { useCancel } from '../requests/useCancel'
import classes from './QueuePage.module.css'

const HIGHER = { low: 'normal', normal: 'high', high: null } as const
const LOWER = { high: 'normal', normal: 'low', low: null } as const
type Share = Queue['shares'][number]

export function QueuePage() {
  const { t } = useTranslation('queue')
  const queue = useQueue()
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Loaded query={queue}>
        {(found) => (
          <>
            <div className={classes.tiles}>
              <Tile name={t('own')} value={count(found.requests.length)} />
              <Tile name={t('all')} value={count(found.waiting)} />
            </div>
            <Waiting rows={found.requests} now={queue.dataUpdatedAt} />
            <Shares rows={found.shares} />
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Waiting({ rows, now }: { rows: readonly WaitingRequest[]; now: number }) {
  const { t } = useTranslation('queue')
  const may = useMay('request.manage')
  const columns = useMemo(
    (): Column<WaitingRequest>[] => [
      { id: 'model', header: t('column.model'), value: (row) => row.model, primary: true },
      numberColumn('place', t('column.place'), (row) => row.position, count, 75),
      numberColumn('expected', t('column.expected'), (row) => row.expected_wait_ms, expected, 140),
      {
        id: 'waited',
        header: t('column.waited'),
        value: (row) => -Date.parse(row.received_at),
        cell: (row) => span((now - Date.parse(row.received_at)) / 1000),
        align: 'right',
        width: 120,
      },
      {
        id: 'nodes',
        header: t('column.nodes'),
        value: (row) => row.nodes.join(', '),
        cell: (row) =>
          row.nodes.length > 2 ? t('nodes', { count: row.nodes.length }) : row.nodes.join(', '),
        width: 150,
      },
      {
        id: 'priority',
        header: t('column.priority'),
        value: (row) => row.priority,
        cell: (row) => t(`priority.${row.priority}`),
        width: 95,
      },
      {
        id: 'key',
        header: t('column.key'),
        value: (row) => row.key_name || plainId(row.key).slice(-8),
        width: 120,
      },
    ],
    [t, now],
  )
  return (
    <DataTable
      id="queue"
      label={t('waiting')}
      columns={columns}
      list={{ rows, total: rows.length }}
      idOf={(row) => row.request}
      linkOf={(row) => ({ to: '/requests/$id', params: { id: plainId(row.request) } })}
      empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      live
      {...(may ? { rowActionsWidth: 270, rowActions: (row: WaitingRequest) => <Acts row={row} /> } : {})}
    />
  )
}

function Acts({ row }: { row: WaitingRequest }) {
  const { t } = useTranslation('queue')
  const { t: words } = useTranslation('requests')
  const prioritise = usePrioritise()
  const cancel = useCancel()
  const give = async (priority: WaitingRequest['priority'], before: WaitingRequest['priority'] | null) => {
    try {
      await prioritise.mutateAsync({ id: row.request, priority })
      const undo = before === null ? {} : { undo: { label: t('undo'), run: () => void give(before, null) } }
      done(t('moved', { priority: t(`priority.${priority}`) }), undo)
    } catch (error) {
      failed(error)
    }
  }
  const higher = HIGHER[row.priority]
  const lower = LOWER[row.priority]
  const named = { model: row.model, id: plainId(row.request).slice(-8) }
  return (
    <Group gap={4} wrap="nowrap">
      <Button
        variant="subtle"
        size="compact-sm"
        disabled={higher === null}
        aria-label={t('raiseOf', named)}
        onClick={() => higher !== null && void give(higher, row.priority)}
      >
        {t('raise')}
      </Button>
      <Button
        variant="subtle"
        size="compact-sm"
        disabled={lower === null}
        aria-label={t('lowerOf', named)}
        onClick={() => lower !== null && void give(lower, row.priority)}
      >
        {t('lower')}
      </Button>
      <Button
        variant="subtle"
        color="red"
        size="compact-sm"
        aria-label={words('cancel.of', named)}
        onClick={() => void cancel(row)}
      >
        {words('cancel.word')}
      </Button>
    </Group>
  )
}

function Shares({ rows }: { rows: readonly Share[] }) {
  const { t } = useTranslation('queue')
  const columns = useMemo(
    (): Column<Share>[] => [
      { id: 'tenant', header: t('column.tenant'), value: (row) => row.tenant_name, primary: true },
      numberColumn('waits', t('column.waiting'), (row) => row.waiting, count, 110),
      numberColumn('runs', t('column.running'), (row) => row.running, count, 110),
      { id: 'weight', header: t('column.weight'), value: (row) => row.weight, align: 'right', width: 100 },
      numberColumn('share', t('column.share'), (row) => row.share, share, 100),
    ],
    [t],
  )
  const view = useTableState({ prefix: 's.' })
  if (rows.length < 2) {
    const own = rows[0]
    if (own === undefined || own.share === 0) return null
    return (
      <div className={classes.tiles}>
        <Tile name={t('share')} value={share(own.share)} />
      </div>
    )
  }
  return (
    <Card title={t('shares')} flush>
      <DataTable
        id="queue-shares"
        label={t('shares')}
        columns={columns}
        list={{ rows, total: rows.length }}
        view={view}
        idOf={(row) => row.tenant}
        empty={<PageEmpty title={t('none')} />}
      />
    </Card>
  )
}
