/** Requests: those that run now, and all that are over, searched and filtered by the server. */
import { Button, Select } from '@mantine/core'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useEndedRequests,
  useRunningRequests,
  type EndedRequest,
  type RunningRequest,
} from '../../api/requests'
import { useMay } from '../../api/session'
import type { FinishedRequest } from '../../live/types'
import { count, dateTime, duration, plainId } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { numberColumn } from '../../ui/table/numberColumn'
import { useTableState } from '../../ui/table/useTableState'
import { Outcome } from './Outcome'
import classes from './RequestsPage.module.css'
import { queryOf } from './requestQuery'
import { useCancel } from './useCancel'

const SPANS = ['1', '24', '168', '720'] as const
const SLOWER = ['1000', '10000', '60000'] as const
const OUTCOMES: FinishedRequest['outcome'][] = [
  'ok',
  'refused',
  'cancelled',
  'failed',
  'node_lost',
  'gateway_lost',
]

export function RequestsPage() {
  const { t } = useTranslation('requests')
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Running />
      <Ended />
    </Page>
  )
}

function Running() {
  const { t } = useTranslation('requests')
  const running = useRunningRequests()
  const cancel = useCancel()
  const may = useMay('request.manage')
  const view = useTableState({ prefix: 'r.' })
  const columns = useMemo(
    (): Column<RunningRequest>[] => [
      { id: 'model', header: t('column.model'), value: (row) => row.model, primary: true },
      {
        id: 'key',
        header: t('column.key'),
        value: (row) => row.key_name || plainId(row.key).slice(-8),
        width: 170,
      },
      { id: 'node', header: t('column.node'), value: (row) => row.node_name, width: 170 },
      numberColumn('took', t('column.runs'), (row) => row.duration_ms, duration, 120),
    ],
    [t],
  )
  if (running.data?.length === 0) return null
  return (
    <div className={classes.part}>
      <h2 className={classes.heading}>{t('running')}</h2>
      <DataTable
        id="requests-running"
        label={t('running')}
        columns={columns}
        list={{ rows: running.data, error: running.error, refetch: running.refetch }}
        idOf={(row) => row.request}
        linkOf={(row) => ({ to: '/requests/$id', params: { id: plainId(row.request) } })}
        empty={<PageEmpty title={t('none')} />}
        live
        view={view}
        {...(may
          ? {
              rowActions: (row: RunningRequest) => (
                <Button
                  variant="subtle"
                  color="red"
                  size="compact-sm"
                  aria-label={t('cancel.of', { model: row.model, id: plainId(row.request).slice(-8) })}
                  onClick={() => void cancel(row)}
                >
                  {t('cancel.word')}
                </Button>
              ),
            }
          : {})}
      />
    </div>
  )
}

function Ended() {
  const { t } = useTranslation('requests')
  const columns = useMemo(
    (): Column<EndedRequest>[] => [
      {
        id: 'model',
        header: t('column.model'),
        value: (row) => row.model || t('column.noModel'),
        primary: true,
      },
      {
        id: 'received',
        header: t('column.received'),
        value: (row) => row.received_at,
        cell: (row) => dateTime(row.received_at),
        width: 200,
      },
      {
        id: 'outcome',
        header: t('column.outcome'),
        value: (row) => row.outcome,
        cell: (row) => (
          <Outcome outcome={row.outcome as FinishedRequest['outcome']} error={row.error ?? ''} />
        ),
        filter: OUTCOMES.map((value) => ({ value, label: t(`outcome.${value}`) })),
        width: 160,
      },
      {
        id: 'key',
        header: t('column.key'),
        value: (row) => row.key_name || plainId(row.key).slice(-8),
        width: 120,
      },
      {
        id: 'node',
        header: t('column.node'),
        value: (row) => row.node_name,
        cell: (row) => row.node_name || t('column.noNode'),
        width: 150,
      },
      numberColumn('first', t('column.first'), (row) => row.first_token_ms, duration, 95),
      numberColumn('took', t('column.took'), (row) => row.duration_ms, duration, 95),
      numberColumn('tokens', t('column.tokens'), (row) => row.completion_tokens, count, 90),
      { id: 'user', header: t('column.user'), value: (row) => row.user ?? '', hidden: true, width: 140 },
      { id: 'id', header: t('column.id'), value: (row) => plainId(row.request), hidden: true, width: 290 },
    ],
    [t],
  )
  const view = useTableState({ hidden: ['user', 'id'] })
  const { filters } = view.state
  const set = (name: string) => (value: string | null) => {
    view.change({ filters: { ...filters, [name]: value === null ? [] : [value] } })
  }
  const span = filters.span?.[0]
  const list = useEndedRequests(queryOf(view.state), span === undefined ? null : Number(span))
  return (
    <div className={classes.part}>
      <h2 className={classes.heading}>{t('ended')}</h2>
      <DataTable
        id="requests"
        label={t('ended')}
        columns={columns}
        list={list}
        view={view}
        idOf={(row) => row.request}
        linkOf={(row) => ({ to: '/requests/$id', params: { id: plainId(row.request) } })}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
        toneOf={(row) =>
          row.outcome === 'ok'
            ? undefined
            : row.outcome === 'refused' || row.outcome === 'cancelled'
              ? 'warn'
              : 'bad'
        }
        live
        tools={
          <>
            <Select
              aria-label={t('span.label')}
              placeholder={t('span.all')}
              size="xs"
              w={150}
              clearable
              data={SPANS.map((value) => ({ value, label: t(`span.h${value}`) }))}
              value={span ?? null}
              onChange={set('span')}
            />
            <Select
              aria-label={t('slower.label')}
              placeholder={t('slower.any')}
              size="xs"
              w={150}
              clearable
              data={SLOWER.map((value) => ({ value, label: t(`slower.ms${value}`) }))}
              value={filters.slower?.[0] ?? null}
              onChange={set('slower')}
            />
          </>
        }
      />
    </div>
  )
}
