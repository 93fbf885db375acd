/** The live overview: what is measured now, and what ran last. */
import { Alert, Button, Loader } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense, useMemo, useState } from 'react'
import { sessionQuery } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { FinishedTable } from './FinishedTable'
import { count, perSecond } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import { NodeCard } from './NodeCard'
import { RunningTable } from './RunningTable'
import { useDocumentTitle } from '../../ui/Page'
import { Chart, type Line } from '../../ui/chart/Chart'
import { Tile } from '../../ui/Tile'
import { WaitingTable } from './WaitingTable'
import { SERIES_SECONDS, type FleetView, type NodesView } from '../../live/topics'
import type { Point } from '../../live/types'
import { STALE_AFTER, useClock, useLive, useSlice, useTopic } from '../../live/useLive'
import classes from './OverviewPage.module.css'

const NODES_SHOWN = 24

const JoinNode = lazy(async () => ({ default: (await import('./JoinNode')).JoinNode }))

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
          <Overview fleet={fleet} clock={clock} at={fleet.at + (stale ? 0 : Math.max(0, age) / 1000)} />
        </div>
      )}
    </>
  )
}

function Overview({ fleet, clock, at }: { fleet: FleetView; clock: number; at: number }) {
  const { times, tokens, requests } = useMemo(() => drawn(fleet.series), [fleet.series])
  return (
    <>
      <Totals now={fleet.now} />
      <div className={classes.charts}>
        <Chart
          title="Tokens per second"
          times={times}
          lines={tokens}
          step={1}
          from={fleet.at - SERIES_SECONDS}
          to={fleet.at}
          format={perSecond}
        />
        <Chart
          title="Requests"
          times={times}
          lines={requests}
          step={1}
          from={fleet.at - SERIES_SECONDS}
          to={fleet.at}
          format={count}
        />
      </div>
      <Nodes clock={clock} />
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

function drawn(series: readonly Point[]): { times: number[]; tokens: Line[]; requests: Line[] } {
  const values = (read: (point: Point) => number | null | undefined) =>
    series.map((point) => read(point) ?? null)
  return {
    times: series.map((point) => point.at),
    tokens: [{ name: 'Tokens/s', color: '--accent', values: values((point) => point.tokens_per_second) }],
    requests: [
      { name: 'Running', color: '--accent', values: values((point) => point.running), stepped: true },
      { name: 'Waiting', color: '--second', values: values((point) => point.queued), stepped: true },
    ],
  }
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

/** Ids in the order of the names; the very same while no node came, went or was renamed. */
function idsByName(view: NodesView | null): readonly string[] | null {
  if (view === null) return null
  return [...view.rows.values()].sort((one, other) => one.name.localeCompare(other.name)).map((row) => row.id)
}

function chunks(ids: readonly string[]): (readonly string[])[] {
  return Array.from({ length: Math.ceil(ids.length / NODES_SHOWN) }, (_, number) =>
    ids.slice(number * NODES_SHOWN, (number + 1) * NODES_SHOWN),
  )
}

/** Some nodes, whole. */
function NodeCards({ ids, clock }: { ids: readonly string[]; clock: number }) {
  const nodes = useTopic('node', { ids })
  return ids.map((id) => {
    const node = nodes?.get(id)
    return node === undefined ? null : <NodeCard key={id} node={node} clock={clock} />
  })
}

function Nodes({ clock }: { clock: number }) {
  const [shown, setShown] = useState(1)
  const ids = useSlice('nodes', idsByName)
  const mayJoin = useQuery(sessionQuery).data?.permissions.includes('node.manage') === true
  return (
    <section aria-labelledby="nodes">
      <div className={classes.head}>
        <h2 id="nodes" className={classes.heading}>
          Nodes
        </h2>
        {mayJoin && <JoinButton />}
      </div>
      {ids?.length === 0 && <FirstNode />}
      <div className={classes.nodes}>
        {chunks(ids ?? [])
          .slice(0, shown)
          .map((chunk) => (
            <NodeCards key={chunk[0]} ids={chunk} clock={clock} />
          ))}
      </div>
      {ids !== null && ids.length > shown * NODES_SHOWN && (
        <Button
          variant="default"
          mt="md"
          onClick={() => {
            setShown(shown + 1)
          }}
        >
          Show more of {count(ids.length)} nodes
        </Button>
      )}
    </section>
  )
}

function JoinButton() {
  const [opened, setOpened] = useState(false)
  const [wanted, setWanted] = useState(false)
  return (
    <>
      <Button
        variant="default"
        size="xs"
        leftSection={<Icon name="plus" size={14} />}
        onClick={() => {
          setWanted(true)
          setOpened(true)
        }}
      >
        Join a node
      </Button>
      {wanted && (
        <Suspense>
          <JoinNode
            opened={opened}
            onClose={() => {
              setOpened(false)
            }}
          />
        </Suspense>
      )}
    </>
  )
}

function FirstNode() {
  return (
    <div className={classes.none}>
      <Empty title="No node has joined yet">
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
