/** The live store: which topics components want, what is known of each, and who is told when that changes. */
import { LiveSocket, type Phase } from './socket'
import { changed, shown, type TopicName, type Views } from './topics'
import type { FromServer } from './types'

/** What is chosen of a topic: `ids` of `nodes` and `node`, `limit` of `nodes`. */
export interface Chosen {
  ids?: readonly string[]
  limit?: number
}

export interface LiveStatus {
  phase: Phase
  /** When the last fresh data came, on this browser's own clock (ms). */
  heardAt: number | null
  /** What may be subscribed to; `null` until the server has said so. */
  topics: readonly string[] | null
}

interface Entry {
  topic: TopicName
  chosen: Chosen
  users: number
  seq: number | null
  view: unknown
  leaving: number | undefined
}

type Data = Extract<FromServer, { type: 'snapshot' | 'event' }>

/** A topic that nobody wants any more is kept so long: whoever turns to the next page may want it too. */
const LINGER = 2_000
const MOST_PENDING = 50
const HIDDEN_EVERY = 1_000

export function keyOf(topic: TopicName, { ids, limit }: Chosen = {}): string {
  const parts = [topic, limit === undefined ? '' : String(limit), ids === undefined ? '' : ids.join(',')]
  return parts[1] === '' && parts[2] === '' ? topic : parts.join(':')
}

export class LiveStore {
  private status: LiveStatus = { phase: 'connecting', heardAt: null, topics: null }
  private readonly entries = new Map<string, Entry>()
  private readonly labels = new Map<string, string>()
  private readonly listeners = new Set<() => void>()
  private readonly socket: LiveSocket
  private pending: Data[] = []
  private frame: number | undefined
  private timer: number | undefined
  private labelled = 0

  constructor(origin: string) {
    this.socket = new LiveSocket(`${origin.replace(/^http/, 'ws')}/ws/live/`, {
      opened: () => {
        for (const [key, entry] of this.entries) this.ask(key, entry)
      },
      message: (message) => {
        this.take(message)
      },
      phase: (phase) => {
        const ended = phase === 'unauthenticated' || phase === 'forbidden'
        if (ended) for (const entry of this.entries.values()) this.forget(entry)
        this.status = { ...this.status, phase, heardAt: ended ? null : this.status.heardAt }
        this.tell()
      },
      poll: () => this.poll(),
    })
  }

  start(): void {
    this.socket.start()
  }

  stop(): void {
    this.socket.stop()
    if (this.frame !== undefined) window.cancelAnimationFrame(this.frame)
    window.clearTimeout(this.timer)
    this.frame = this.timer = undefined
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly readStatus = (): LiveStatus => this.status

  view(key: string): unknown {
    return this.entries.get(key)?.view ?? null
  }

  /** Want a topic until the returned function is called. */
  want(topic: TopicName, chosen: Chosen = {}): () => void {
    const key = keyOf(topic, chosen)
    let entry = this.entries.get(key)
    if (entry === undefined) {
      entry = { topic, chosen, users: 0, seq: null, view: null, leaving: undefined }
      this.entries.set(key, entry)
      this.ask(key, entry)
    }
    const wanted = entry
    window.clearTimeout(wanted.leaving)
    wanted.users += 1
    return () => {
      wanted.users -= 1
      if (wanted.users > 0) return
      wanted.leaving = window.setTimeout(() => {
        this.entries.delete(key)
        this.socket.send({ type: 'unsubscribe', id: this.labelOf(key) })
        this.labels.delete(key)
      }, LINGER)
    }
  }

  /** A label is short whatever was chosen: the server bounds it. */
  private labelOf(key: string): string {
    let label = this.labels.get(key)
    if (label === undefined) {
      this.labelled += 1
      label = String(this.labelled)
      this.labels.set(key, label)
    }
    return label
  }

  private ask(key: string, entry: Entry): void {
    const after = entry.view === null || entry.seq === null ? {} : { after: entry.seq }
    this.socket.send({
      type: 'subscribe',
      topic: entry.topic,
      id: this.labelOf(key),
      ...entry.chosen,
      ...after,
    })
  }

  private take(message: FromServer): void {
    if (message.type === 'welcome') {
      this.status = { ...this.status, topics: message.topics }
      this.tellSoon()
    } else if (message.type === 'snapshot' || message.type === 'event') {
      this.pending.push(message)
      if (this.pending.length >= MOST_PENDING) this.fold()
      this.tellSoon()
    } else if (message.type === 'ended' && message.code !== 'unsubscribed') {
      const found = this.find(message.id)
      if (found !== null) {
        this.forget(found[1])
        this.tellSoon()
        if (message.code === 'unavailable') {
          window.setTimeout(() => {
            if (this.entries.get(found[0]) === found[1]) this.ask(found[0], found[1])
          }, HIDDEN_EVERY)
        }
      }
    }
  }

  private find(label: string): [string, Entry] | null {
    for (const [key, entry] of this.entries) if (this.labels.get(key) === label) return [key, entry]
    return null
  }

  private forget(entry: Entry): void {
    entry.view = null
    entry.seq = null
  }

  /** Takes in what came since the last animation frame. */
  private fold(): void {
    const pending = this.pending
    this.pending = []
    for (const message of pending) {
      const found = this.find(message.id)
      if (found === null) continue
      const [key, entry] = found
      const heard = { at: message.at, clock: performance.now() }
      if (message.type === 'snapshot') {
        entry.view = shown(entry.topic, message.data, heard)
        entry.seq = message.seq
      } else if (entry.seq === null || message.since > entry.seq) {
        // An event is missing in between: from the beginning.
        this.forget(entry)
        this.ask(key, entry)
        continue
      } else if (message.seq > entry.seq) {
        entry.view = changed(entry.topic, entry.view, message.data, heard)
        entry.seq = message.seq
      }
      this.freshen(entry, message.type)
    }
  }

  private freshen(entry: Entry, type: Data['type']): void {
    const fleet = this.status.topics?.includes('fleet') ?? false
    // A snapshot can always be had; that totals are published is what makes the page live.
    if (fleet && entry.topic !== 'fleet') return
    const old = type === 'snapshot' && fleet && (entry.view as Views['fleet']).now === null
    if (!old || this.status.heardAt === null) this.status = { ...this.status, heardAt: performance.now() }
  }

  private tellSoon(): void {
    if (this.frame !== undefined || this.timer !== undefined) return
    const now = () => {
      this.frame = this.timer = undefined
      this.fold()
      this.tell()
    }
    // A page that is not seen has no animation frames.
    if (document.visibilityState === 'hidden') this.timer = window.setTimeout(now, HIDDEN_EVERY)
    else this.frame = window.requestAnimationFrame(now)
  }

  private tell(): void {
    for (const listener of this.listeners) listener()
  }

  /** All that is wanted, by HTTP. */
  private async poll(): Promise<number> {
    let status = 200
    for (const [key, entry] of this.entries) {
      const query = new URLSearchParams({ topics: entry.topic })
      if (entry.chosen.ids !== undefined) query.set('ids', entry.chosen.ids.join(','))
      if (entry.chosen.limit !== undefined) query.set('limit', String(entry.chosen.limit))
      try {
        const answer = await fetch(`/api/v1/live?${query.toString()}`, { credentials: 'same-origin' })
        if (answer.status === 403) continue
        if (!answer.ok) return answer.status
        const found = (await answer.json()) as Record<string, { seq: number; at: number; data: unknown }>
        const data = found[entry.topic]
        if (data === undefined || this.entries.get(key) !== entry) continue
        const heard = { at: data.at, clock: performance.now() }
        entry.view = shown(entry.topic, data.data, heard)
        // What a socket tells later begins with a snapshot.
        entry.seq = null
        this.freshen(entry, 'snapshot')
        status = answer.status
      } catch {
        return 0
      }
    }
    this.tell()
    return status
  }
}
