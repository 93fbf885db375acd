/** What the page knows, and how a message changes it. Pure. */
import type {
  FinishedRequest,
  Frame,
  LiveNode,
  Point,
  RunningRequest,
  Snapshot,
  WaitingRequest,
} from './types'

export interface NodeView extends LiveNode {
  /** When this node's state last changed, on this browser's own clock (ms): the server's clock may differ. */
  heardAt: number
}

export interface Fleet {
  seq: number
  /** The server's time of the last message, Unix seconds. */
  at: number
  tenant: string
  nodes: ReadonlyMap<string, NodeView>
  running: readonly RunningRequest[]
  runningTotal: number
  /** The next first. */
  waiting: readonly WaitingRequest[]
  waitingTotal: number
  /** Newest first. */
  finished: readonly FinishedRequest[]
  /** Oldest first. */
  series: readonly Point[]
  /** The totals of the last second, when there was one. */
  now: Point | null
}

const FINISHED_KEPT = 100
export const SERIES_SECONDS = 300

export function fromSnapshot(message: Snapshot, clock: number): Fleet {
  const nodes = new Map<string, NodeView>()
  for (const node of message.nodes) {
    const age = node.last_seen === null ? 0 : Math.max(0, message.at - node.last_seen) * 1000
    nodes.set(node.id, { ...node, heardAt: clock - age })
  }
  const last = message.series.at(-1)
  return {
    seq: message.seq,
    at: message.at,
    tenant: message.tenant,
    nodes,
    running: message.running,
    runningTotal: message.running_total,
    waiting: message.waiting,
    waitingTotal: message.waiting_total,
    finished: message.finished,
    series: within(message.series, message.at),
    // An old point says nothing of now: nobody published for a while.
    now: last !== undefined && message.at - last.at < 3 ? last : null,
  }
}

/** The fleet after ``frame``; `null` when a frame is missing in between, `fleet` itself when it knew it already. */
export function withFrame(fleet: Fleet, frame: Frame, clock: number): Fleet | null {
  if (frame.seq <= fleet.seq) return fleet
  if (frame.seq > fleet.seq + 1) return null
  const nodes = new Map(fleet.nodes)
  for (const node of frame.nodes) {
    const before = nodes.get(node.id)
    const heardAt = node.state === null ? (before?.heardAt ?? clock) : clock
    nodes.set(node.id, { ...node, heardAt })
  }
  for (const id of frame.gone) nodes.delete(id)
  const fresh = new Set(frame.finished.map((request) => request.request))
  return {
    seq: frame.seq,
    at: frame.at,
    tenant: fleet.tenant,
    nodes,
    running: frame.running,
    runningTotal: frame.running_total,
    waiting: frame.waiting,
    waitingTotal: frame.waiting_total,
    finished:
      fresh.size === 0
        ? fleet.finished
        : [...frame.finished, ...fleet.finished.filter((request) => !fresh.has(request.request))].slice(
            0,
            FINISHED_KEPT,
          ),
    series: within([...fleet.series, frame.point], frame.at),
    now: frame.point,
  }
}

function within(series: readonly Point[], at: number): Point[] {
  return series.filter((point) => point.at > at - SERIES_SECONDS)
}
