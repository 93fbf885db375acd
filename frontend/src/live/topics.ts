/** What the page knows of each topic, and how a snapshot or an event changes it. Pure. */
import type {
  Counts,
  FindingRow,
  FinishedRequest,
  FleetChange,
  FleetShown,
  HealthChange,
  HealthShown,
  IncidentsShown,
  JobsShown,
  LiveNode,
  ModelRow,
  ModelsChange,
  ModelsShown,
  NodeDetails,
  NodeRow,
  NodesChange,
  NodesShown,
  Point,
  QueueShown,
  RequestsChange,
  RequestsShown,
  RunningRequest,
  SystemShown,
  Topics,
  Trail,
  TrailEntry,
} from './types'

export type TopicName = keyof Topics

export interface FleetView {
  /** The server's time of the last message, Unix seconds. */
  at: number
  /** Oldest first. */
  series: readonly Point[]
  /** The totals of the last second, when there was one. */
  now: Point | null
}

export interface NodesView {
  rows: ReadonlyMap<string, NodeRow>
  total: number
}

export interface NodeView extends LiveNode {
  /** When this node last reported, on this browser's own clock (ms): the server's clock may differ. */
  heardAt: number
}

export interface ModelsView {
  rows: ReadonlyMap<string, ModelRow>
}

export interface RequestsView {
  /** Oldest first. */
  running: readonly RunningRequest[]
  runningTotal: number
  /** Newest first. */
  finished: readonly FinishedRequest[]
}

export interface HealthView {
  state: HealthShown['state']
  counts: Counts
  rows: ReadonlyMap<string, FindingRow>
  /** The worst first, and the oldest among those that are as bad. */
  findings: readonly FindingRow[]
}

export interface TrailView {
  /** Newest first. */
  entries: readonly TrailEntry[]
}

export interface Views {
  fleet: FleetView
  health: HealthView
  system: SystemShown
  nodes: NodesView
  node: ReadonlyMap<string, NodeView>
  models: ModelsView
  requests: RequestsView
  queue: QueueShown
  jobs: JobsShown
  incidents: IncidentsShown
  keys: TrailView
  audit: TrailView
}

/** When a message was made (Unix seconds, by the server) and heard (ms, by this browser's own clock). */
export interface Heard {
  at: number
  clock: number
}

interface Folding<T extends TopicName> {
  shown: (data: Topics[T]['shown'], heard: Heard) => Views[T]
  changed: (view: Views[T], data: Topics[T]['change'], heard: Heard) => Views[T]
}

const FINISHED_KEPT = 100
const TRAIL_KEPT = 200
const FRESH_SECONDS = 3
export const SERIES_SECONDS = 300

function within(series: readonly Point[], at: number): Point[] {
  return series.filter((point) => point.at > at - SERIES_SECONDS)
}

function fleetOf(series: readonly Point[], at: number): FleetView {
  const last = series.at(-1)
  // An old point says nothing of now: nobody published for a while.
  return {
    at,
    series: within(series, at),
    now: last !== undefined && at - last.at < FRESH_SECONDS ? last : null,
  }
}

function patched<Row>(
  before: ReadonlyMap<string, Row>,
  change: { changed: Record<string, unknown>; gone: string[]; whole?: boolean },
): ReadonlyMap<string, Row> {
  const rows = new Map(change.whole === true ? [] : before)
  // A row that is new comes with all its fields.
  for (const [key, fields] of Object.entries(change.changed))
    rows.set(key, { ...rows.get(key), ...(fields as Row) })
  for (const key of change.gone) rows.delete(key)
  return rows
}

const SEVERITIES = ['critical', 'warning', 'notice'] as const

function healthOf(
  { state, counts }: Pick<HealthView, 'state' | 'counts'>,
  rows: ReadonlyMap<string, FindingRow>,
): HealthView {
  const findings = [...rows.values()].sort(
    (one, other) =>
      SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity) ||
      one.since - other.since ||
      one.code.localeCompare(other.code) ||
      one.text.localeCompare(other.text),
  )
  return { state, counts, rows, findings }
}

function detailed(before: ReadonlyMap<string, NodeView>, data: NodeDetails, { at, clock }: Heard) {
  const nodes = new Map(before)
  for (const node of data.nodes) {
    const known = before.get(node.id)?.heardAt
    const age = node.last_seen === null ? 0 : Math.max(0, at - node.last_seen) * 1000
    nodes.set(node.id, { ...node, heardAt: node.state !== null ? clock : (known ?? clock - age) })
  }
  for (const id of data.gone) nodes.delete(id)
  return nodes
}

function newest(
  fresh: readonly FinishedRequest[],
  before: readonly FinishedRequest[],
): readonly FinishedRequest[] {
  if (fresh.length === 0) return before
  const known = new Set(fresh.map((request) => request.request))
  return [...fresh, ...before.filter((request) => !known.has(request.request))].slice(0, FINISHED_KEPT)
}

function ran(view: RequestsView, data: RequestsChange): RequestsView {
  const running = new Map(
    data.whole === true ? [] : view.running.map((request) => [request.request, request]),
  )
  for (const id of data.ended) running.delete(id)
  for (const request of data.running) running.set(request.request, request)
  return {
    running: [...running.values()].sort((one, other) => one.received_at - other.received_at),
    runningTotal: data.running_total,
    finished: newest(data.finished, view.finished),
  }
}

function told(view: TrailView, data: Trail): TrailView {
  const known = new Set(view.entries.map((entry) => entry.number))
  const fresh = data.entries.filter((entry) => !known.has(entry.number))
  return { entries: [...fresh, ...view.entries].slice(0, TRAIL_KEPT) }
}

const TRAIL: Folding<'keys'> & Folding<'audit'> = {
  shown: (data: Trail) => ({ entries: data.entries }),
  changed: told,
}

const FOLDING: { [T in TopicName]: Folding<T> } = {
  fleet: {
    shown: (data: FleetShown, { at }) => fleetOf(data.series, at),
    changed: (view: FleetView, data: FleetChange, { at }) => fleetOf([...view.series, ...data.points], at),
  },
  health: {
    shown: (data: HealthShown) => healthOf(data, new Map(data.findings.map((row) => [row.key, row]))),
    changed: (view: HealthView, data: HealthChange) => healthOf(data, patched(view.rows, data)),
  },
  system: { shown: (data: SystemShown) => data, changed: (_view: SystemShown, data: SystemShown) => data },
  nodes: {
    shown: (data: NodesShown) => ({
      rows: new Map(data.nodes.map((row) => [row.id, row])),
      total: data.total,
    }),
    changed: (view: NodesView, data: NodesChange) => ({ rows: patched(view.rows, data), total: data.total }),
  },
  node: {
    shown: (data: NodeDetails, heard) => detailed(new Map(), data, heard),
    changed: detailed,
  },
  models: {
    shown: (data: ModelsShown) => ({ rows: new Map(data.models.map((row) => [row.name, row])) }),
    changed: (view: ModelsView, data: ModelsChange) => ({ rows: patched(view.rows, data) }),
  },
  requests: {
    shown: (data: RequestsShown) => ({
      running: data.running,
      runningTotal: data.running_total,
      finished: data.finished,
    }),
    changed: ran,
  },
  queue: { shown: (data: QueueShown) => data, changed: (_view: QueueShown, data: QueueShown) => data },
  jobs: { shown: (data: JobsShown) => data, changed: (_view: JobsShown, data: JobsShown) => data },
  incidents: {
    shown: (data: IncidentsShown) => data,
    changed: (_view: IncidentsShown, data: IncidentsShown) => data,
  },
  keys: TRAIL,
  audit: TRAIL,
}

/** A topic as a snapshot shows it. */
export function shown(topic: TopicName, data: unknown, heard: Heard): unknown {
  return FOLDING[topic].shown(data as never, heard)
}

/** A topic after an event. */
export function changed(topic: TopicName, view: unknown, data: unknown, heard: Heard): unknown {
  return FOLDING[topic].changed(view as never, data as never, heard)
}
