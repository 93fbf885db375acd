/** One region: its Redis, the Celery queues of its nodes, and its control loops with leader and lag. */
import { Alert, Title } from '@mantine/core'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { loopState, type Loop, type Region } from '../../api/installation'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { bytes, count, duration, span } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { numberColumn } from '../../ui/table/numberColumn'
import { Tag } from '../../ui/Tag'
import classes from './SystemPage.module.css'

const TONE = { ok: 'ok', late: 'warn', bad: 'bad' } as const

export function RegionPart({ region, alone }: { region: Region; alone: boolean }) {
  const { t } = useTranslation('system')
  return (
    <>
      {!alone && (
        <Title order={2} className={classes.heading}>
          {t('region', { name: region.name })}
        </Title>
      )}
      {region.error !== '' && <Alert color="red">{t('cannot', { error: region.error })}</Alert>}
      <div className={classes.pair}>
        <Redis region={region} />
        <Queues region={region} />
      </div>
      {region.loops !== undefined && <Loops region={region} loops={region.loops} alone={alone} />}
    </>
  )
}

function Redis({ region: { redis, ...region } }: { region: Region }) {
  const { t } = useTranslation('system')
  if (redis === undefined) return null
  const size = redis.used_memory === null ? '–' : bytes(redis.used_memory)
  return (
    <Card title={t('redis')} aside={<Tag tone="ok">{t('answers')}</Tag>}>
      <Facts>
        <Fact name={t('version')}>{redis.redis_version}</Fact>
        <Fact name={t('redisRole')}>{redis.role}</Fact>
        <Fact name={t('memory')}>
          {redis.maxmemory ? t('of', { used: size, all: bytes(redis.maxmemory) }) : t('unbounded', { size })}
        </Fact>
        <Fact name={t('clients')}>
          {redis.connected_clients === null ? '–' : count(redis.connected_clients)}
        </Fact>
        <Fact name={t('up')}>{redis.uptime_in_seconds === null ? '–' : span(redis.uptime_in_seconds)}</Fact>
        <Fact name={t('directory')}>
          {region.directory_number === undefined ? '–' : String(region.directory_number)}
        </Fact>
        <Fact name={t('behind')}>
          {region.directory_behind_seconds === undefined ? '–' : span(region.directory_behind_seconds)}
        </Fact>
      </Facts>
    </Card>
  )
}

function Queues({ region: { queues } }: { region: Region }) {
  const { t } = useTranslation('system')
  if (queues === undefined) return null
  return (
    <Card title={t('queues')}>
      <Facts>
        <Fact name={t('messages')}>{count(queues.messages)}</Fact>
        <Fact name={t('tickets')}>{count(queues.tickets)}</Fact>
        {queues.longest.map((queue) => (
          <Fact key={queue.node} name={queue.node_name}>
            {t('waits', { messages: count(queue.messages), tickets: count(queue.tickets) })}
          </Fact>
        ))}
      </Facts>
    </Card>
  )
}

function Loops({ region, loops, alone }: { region: Region; loops: Loop[]; alone: boolean }) {
  const { t } = useTranslation('system')
  const columns = useMemo(
    (): Column<Loop>[] => [
      { id: 'loop', header: t('loop'), value: (loop) => loop.loop, primary: true },
      {
        id: 'state',
        header: t('state'),
        value: loopState,
        cell: (loop) => <Tag tone={TONE[loopState(loop)]}>{t(`loopState.${loopState(loop)}`)}</Tag>,
        width: 110,
        filter: (['ok', 'late', 'bad'] as const).map((value) => ({ value, label: t(`loopState.${value}`) })),
      },
      { id: 'leader', header: t('leader'), value: (loop) => loop.leader, width: 170 },
      numberColumn('every', t('every'), (loop) => loop.every_seconds, (value) => duration(value * 1000), 110),
      numberColumn('ago', t('ago'), (loop) => loop.ago_seconds, (value) => duration(value * 1000), 110),
      numberColumn('took', t('took'), (loop) => loop.took_ms, duration, 110),
      numberColumn('lag', t('lag'), (loop) => loop.behind_ms, duration, 110),
      { id: 'error', header: t('error'), value: (loop) => loop.error },
    ],
    [t],
  ) // prettier-ignore
  return (
    <DataTable
      id={`loops-${region.name}`}
      label={alone ? t('loopsTable') : t('loopsOf', { name: region.name })}
      columns={columns}
      list={{ rows: loops }}
      idOf={(loop) => loop.loop}
      toneOf={(loop) => ({ ok: undefined, late: 'warn' as const, bad: 'bad' as const })[loopState(loop)]}
      live
      empty={<PageEmpty title={t('noLoop')}>{t('noLoopText')}</PageEmpty>}
    />
  )
}
