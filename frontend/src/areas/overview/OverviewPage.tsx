/** The live overview: what is measured now, and what ran last. */
import { Alert, Loader } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { FinishedTable } from './FinishedTable'
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
import type { FleetView } from '../../live/topics'
import type { Point } from '../../live/types'
import { STALE_AFTER, useClock, useLive, useTopic } from '../../live/useLive'
import classes from './OverviewPage.module.css'

const TENANT = ['tenant'] as const

export function OverviewPage() {
  const { phase, topics, heardAt } = useLive()
  const fleet = useTopic('fleet')
  const clock = useClock()
  const forbidden = phase === 'forbidden' || (topics !== null && !topics.includes('fleet'))
  useDocumentTitle('Overview')

  const age = heardAt === null ? 0 : clock - heardAt
  const stale = age > STALE_AFTER
  return (
    <>
      <h1 className="sr-only">Overview</h1>
      {forbidden && (
        <Alert
          color="yellow"
          variant="light"
          icon={<Icon name="alert" />}
          title="No access to the live overview"
        >
          Your role in this organisation does not let you see its nodes and usage. Ask an owner for another
          role.
        </Alert>
      )}
      {fleet === null && !forbidden && (
        <div className={classes.waiting}>
          <Loader size="sm" aria-hidden="true" />
          <p role="status">Waiting for data</p>
        </div>
      )}
      {fleet !== null && (
        <div className={classes.page} data-stale={stale}>
          <Overview fleet={fleet} at={fleet.at + (stale ? 0 : Math.max(0, age) / 1000)} />
        </div>
      )}
    </>
  )
}

function Overview({ fleet, at }: { fleet: FleetView; at: number }) {
  return (
    <>
      <HealthPanel />
      <Totals now={fleet.now} />
      <Nodes />
      <Past names={TENANT} waits="queued" />
      <Requests at={at} />
    </>
  )
}

function Requests({ at }: { at: number }) {
  const requests = useTopic('requests')
  const queue = useTopic('queue')
  if (requests === null) return null
  const waiting = queue?.waiting_total ?? 0
  return (
    <>
      <div className={classes.now}>
        <Card
          title="Running now"
          aside={requests.runningTotal === 0 ? undefined : count(requests.runningTotal)}
          flush
        >
          <RunningTable requests={requests.running} total={requests.runningTotal} at={at} />
        </Card>
        <Card title="Waiting" aside={waiting === 0 ? undefined : count(waiting)} flush>
          <WaitingTable requests={queue?.waiting ?? []} total={waiting} at={at} />
        </Card>
      </div>
      <Card title="Last requests" flush>
        {requests.finished.length === 0 ? <FirstRequest /> : <FinishedTable requests={requests.finished} />}
      </Card>
    </>
  )
}

function Totals({ now }: { now: Point | null }) {
  const shown = (value: number | null | undefined, format: (value: number) => string): string =>
    value == null ? '–' : format(value)
  return (
    <section className={classes.tiles} aria-label="Totals now">
      <Tile
        name="Nodes up"
        value={shown(now?.nodes_up, count)}
        of={now === null ? undefined : `of ${count(now.nodes)}`}
        warn={now !== null && now.nodes_up < now.nodes}
      />
      <Tile
        name="Requests running"
        value={shown(now?.running, count)}
        of={now?.capacity == null ? undefined : `of ${count(now.capacity)} slots`}
      />
      <Tile name="Requests waiting" value={shown(now?.queued, count)} />
      <Tile name="Tokens per second" value={shown(now?.tokens_per_second, perSecond)} />
    </section>
  )
}

function Nodes() {
  const { t } = useTranslation('overview')
  const mayJoin = useMay('node.manage')
  const rows = useNodeRows()
  if (rows === undefined) return null
  if (rows.length === 0) return <FirstNode />
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
      <Empty title="No node has joined yet">
        {mayJoin && (
          <p>
            <Link to="/nodes/join">{t('join')}</Link>
          </p>
        )}
        <p>Make a join token, here or on the server, then join from the host that runs the models:</p>
        <Command label="Make a join token" text="ollamamax node token" />
        <Command
          label="Join a node"
          text={`ollamamax-node join ${window.location.origin} --token TOKEN --engine ollama --engine-url http://127.0.0.1:11434`}
        />
      </Empty>
    </div>
  )
}

function FirstRequest() {
  const text = [
    `curl ${window.location.origin}/v1/chat/completions \\`,
    '  -H "Authorization: Bearer $OLLAMAMAX_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d '{"model": "smollm2:135m", "messages": [{"role": "user", "content": "Hello"}]}'`,
  ].join('\n')
  return (
    <Empty title="No request yet">
      <p>Send one with an API key, and it appears here:</p>
      <Command label="Send a request" text={text} />
    </Empty>
  )
}
