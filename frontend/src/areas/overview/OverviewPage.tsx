/** The live overview: what is measured now, and what ran last. */
import { Alert, Loader } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { FinishedTable } from './FinishedTable'
import { chatCommand, FirstRun } from './FirstRun'
import { count, perSecond } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import { NodeMap } from '../nodes/NodeMap'
import { useNodeRows } from '../nodes/useNodeRows'
import { HealthPanel } from './HealthPanel'
import { RunningTable } from './RunningTable'
import { useDocumentTitle } from '../../ui/Page'
import { Past } from '../../ui/Past'
import { Tile } from '../../ui/Tile'
import { WaitingTable } from './WaitingTable'
import { useFirstRun } from './useFirstRun'
import type { Views } from '../../live/topics'
import { useLive, useSlice, useStale, useTopic } from '../../live/useLive'
import classes from './OverviewPage.module.css'

const TENANT = ['tenant'] as const

const isThere = (view: unknown): boolean => view !== null
const lastOf = (view: Views['fleet'] | null) => view?.now ?? null

export function OverviewPage() {
  const { t } = useTranslation('overview')
  const there = useSlice('fleet', isThere)
  const forbidden = useForbidden()
  useDocumentTitle(t('title'))
  return (
    <>
      <h1 className="sr-only">{t('title')}</h1>
      {forbidden && (
        <Alert color="yellow" variant="light" icon={<Icon name="alert" />} title={t('forbidden')}>
          {t('forbiddenText')}
        </Alert>
      )}
      {!there && !forbidden && (
        <div className={classes.waiting} aria-busy="true">
          <Loader size="sm" aria-hidden="true" />
          <p role="status">{t('pending')}</p>
        </div>
      )}
      {there && <Overview />}
    </>
  )
}

function useForbidden(): boolean {
  const { phase, topics } = useLive()
  return phase === 'forbidden' || (topics !== null && !topics.includes('fleet'))
}

function Overview() {
  const found = useFirstRun()
  const guided = found.done !== null
  return (
    <div className={classes.page} data-stale={useStale()}>
      <FirstRun found={found} />
      <HealthPanel />
      <Totals />
      <Nodes guided={guided} />
      <Past names={TENANT} waits="queued" />
      <Requests guided={guided} />
    </div>
  )
}

function Requests({ guided }: { guided: boolean }) {
  const { t } = useTranslation('overview')
  const requests = useTopic('requests')
  const queue = useTopic('queue')
  if (requests === null) return null
  const waiting = queue?.waiting_total ?? 0
  return (
    <>
      <div className={classes.now}>
        <Card
          title={t('running')}
          aside={requests.runningTotal === 0 ? undefined : count(requests.runningTotal)}
          flush
        >
          <RunningTable requests={requests.running} total={requests.runningTotal} />
        </Card>
        <Card title={t('waiting')} aside={waiting === 0 ? undefined : count(waiting)} flush>
          <WaitingTable requests={queue?.waiting ?? []} total={waiting} />
        </Card>
      </div>
      <Card title={t('last')} flush>
        {requests.finished.length === 0 ? (
          <FirstRequest guided={guided} />
        ) : (
          <FinishedTable requests={requests.finished} />
        )}
      </Card>
    </>
  )
}

function Totals() {
  const { t } = useTranslation('overview')
  const now = useSlice('fleet', lastOf)
  const shown = (value: number | null | undefined, format: (value: number) => string): string =>
    value == null ? '–' : format(value)
  return (
    <section className={classes.tiles} aria-label={t('totals')}>
      <Tile
        name={t('nodesUp')}
        value={shown(now?.nodes_up, count)}
        of={now === null ? undefined : t('of', { all: count(now.nodes) })}
        warn={now !== null && now.nodes_up < now.nodes}
      />
      <Tile
        name={t('requestsRunning')}
        value={shown(now?.running, count)}
        of={now?.capacity == null ? undefined : t('ofSlots', { all: count(now.capacity) })}
      />
      <Tile name={t('requestsWaiting')} value={shown(now?.queued, count)} />
      <Tile name={t('speed')} value={shown(now?.tokens_per_second, perSecond)} />
    </section>
  )
}

function Nodes({ guided }: { guided: boolean }) {
  const { t } = useTranslation('overview')
  const mayJoin = useMay('node.manage')
  const rows = useNodeRows()
  if (rows === undefined) return null
  if (rows.length === 0) return guided ? null : <FirstNode />
  return (
    <Card
      title={t('nodes')}
      aside={
        <span className={classes.links}>
          <Link to="/nodes">{t('allNodes')}</Link>
          {mayJoin && <Link to="/nodes/join">{t('join')}</Link>}
        </span>
      }
    >
      <NodeMap rows={rows} label={t('nodes')} />
    </Card>
  )
}

function FirstNode() {
  const { t } = useTranslation('overview')
  const mayJoin = useMay('node.manage')
  return (
    <div className={classes.none}>
      <Empty title={t('noNode')}>
        {mayJoin && (
          <p>
            <Link to="/nodes/join">{t('join')}</Link>
          </p>
        )}
        <p>{t('noNodeText')}</p>
        <Command label={t('makeToken')} text="ollamamax node token" />
        <Command
          label={t('joinCommand')}
          text={`ollamamax-node join ${window.location.origin} --token TOKEN --engine ollama --engine-url http://127.0.0.1:11434`}
        />
      </Empty>
    </div>
  )
}

/** `guided`: how to send one is told above. */
function FirstRequest({ guided }: { guided: boolean }) {
  const { t } = useTranslation('overview')
  if (guided) return <Empty title={t('noRequest')} />
  return (
    <Empty title={t('noRequest')}>
      <p>{t('noRequestText')}</p>
      <Command label={t('sendRequest')} text={chatCommand(window.location.origin, '')} />
    </Empty>
  )
}
