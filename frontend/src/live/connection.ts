/** The socket of the live page: snapshot, then frames; a hole or a break starts it anew. */
import { fromSnapshot, withFrame, type Fleet } from './state'
import type { Message } from './types'

export type Phase = 'connecting' | 'live' | 'reconnecting' | 'unauthenticated' | 'forbidden'

export interface Live {
  phase: Phase
  /** The last known fleet; it stays while the connection is away. */
  fleet: Fleet | null
  /** When the last fresh data came, on this browser's own clock (ms). */
  heardAt: number | null
}

const UNAUTHENTICATED = 4401
const FORBIDDEN = 4403
const FIRST_WAIT = 500
const LONGEST_WAIT = 15_000
/** Frames come each second; a socket that is silent for so long is dead, whatever it says. */
const SILENCE = 8_000

export class LiveConnection {
  private live: Live = { phase: 'connecting', fleet: null, heardAt: null }
  private socket: WebSocket | null = null
  private synced = false
  private failures = 0
  private retry: number | undefined
  private watchdog: number | undefined
  private readonly listeners = new Set<() => void>()

  constructor(private readonly address: string) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly read = (): Live => this.live

  start(): void {
    window.addEventListener('online', this.wake)
    window.addEventListener('pageshow', this.wake)
    document.addEventListener('visibilitychange', this.wake)
    this.open()
  }

  stop(): void {
    window.removeEventListener('online', this.wake)
    window.removeEventListener('pageshow', this.wake)
    document.removeEventListener('visibilitychange', this.wake)
    window.clearTimeout(this.retry)
    this.drop()
  }

  /** Try at once where a try is waiting: the network or the page came back. */
  private readonly wake = (): void => {
    if (document.visibilityState === 'hidden') return
    const silent = this.live.heardAt === null || performance.now() - this.live.heardAt > SILENCE / 2
    if (this.live.phase === 'reconnecting' || (this.live.phase === 'live' && silent)) this.again(true)
  }

  private open(): void {
    this.drop()
    window.clearTimeout(this.retry)
    this.synced = false
    const socket = new WebSocket(this.address)
    this.socket = socket
    socket.addEventListener('message', (event) => {
      if (socket === this.socket) this.take(JSON.parse(String(event.data)) as Message)
    })
    socket.addEventListener('close', (event) => {
      if (socket === this.socket) this.closed(event.code)
    })
    this.watch()
  }

  private take(message: Message): void {
    const clock = performance.now()
    if (message.type === 'snapshot') {
      this.synced = true
      this.failures = 0
      const fleet = fromSnapshot(message, clock)
      // A snapshot can always be had; that frames are published is what makes the page live.
      const heardAt = fleet.now === null ? (this.live.heardAt ?? clock) : clock
      this.change({ phase: 'live', fleet, heardAt })
    } else if (this.synced && this.live.fleet !== null) {
      const fleet = withFrame(this.live.fleet, message, clock)
      if (fleet === null) {
        this.again(true)
        return
      }
      this.change({ phase: 'live', fleet, heardAt: clock })
    }
    this.watch()
  }

  private closed(code: number): void {
    this.socket = null
    window.clearTimeout(this.watchdog)
    if (code === UNAUTHENTICATED) this.change({ phase: 'unauthenticated', fleet: null, heardAt: null })
    else if (code === FORBIDDEN) this.change({ phase: 'forbidden', fleet: null, heardAt: null })
    else this.again(false)
  }

  private again(atOnce: boolean): void {
    this.drop()
    window.clearTimeout(this.retry)
    this.change({ ...this.live, phase: this.live.fleet === null ? 'connecting' : 'reconnecting' })
    // Full jitter, so that a thousand pages do not return in the same instant when a server comes back.
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures)
    this.failures += 1
    this.retry = window.setTimeout(
      () => {
        this.open()
      },
      atOnce ? 0 : most / 2 + (Math.random() * most) / 2,
    )
  }

  private watch(): void {
    window.clearTimeout(this.watchdog)
    this.watchdog = window.setTimeout(() => {
      this.again(false)
    }, SILENCE)
  }

  private drop(): void {
    window.clearTimeout(this.watchdog)
    const socket = this.socket
    this.socket = null
    socket?.close()
  }

  private change(live: Live): void {
    this.live = live
    for (const listener of this.listeners) listener()
  }
}
