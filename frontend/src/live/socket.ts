/** The live socket: kept open, opened anew with back-off, and given up for asking by HTTP where WebSockets are blocked. */
import type { FromServer } from './types'

export type Phase = 'connecting' | 'live' | 'polling' | 'reconnecting' | 'unauthenticated' | 'forbidden'

const UNAUTHENTICATED = 4401
const FORBIDDEN = 4403
const FIRST_WAIT = 500
const LONGEST_WAIT = 15_000
/** The server shows a sign of life every five seconds; a socket that is silent for so long is dead, whatever it says. */
const SILENCE = 12_000
/** So many tries that never got a word: WebSockets are blocked, or the server is away, which asking by HTTP tells apart. */
const TRIES = 3
const POLL_EVERY = 3_000
const RETRY_WHILE_POLLING = 30_000

interface Handlers {
  /** The socket is open, and nothing is subscribed on it. */
  opened: () => void
  message: (message: FromServer) => void
  phase: (phase: Phase) => void
  /** Ask once by HTTP. Returns the status of the answer, 0 when there was none. */
  poll: () => Promise<number>
}

export class LiveSocket {
  private socket: WebSocket | null = null
  private entered = false
  private failures = 0
  private stopped = true
  private phase: Phase = 'connecting'
  private retry: number | undefined
  private watchdog: number | undefined
  private polling: number | undefined

  constructor(
    private readonly address: string,
    private readonly handlers: Handlers,
  ) {}

  start(): void {
    this.stopped = false
    this.failures = 0
    this.change('connecting')
    window.addEventListener('online', this.wake)
    window.addEventListener('pageshow', this.wake)
    document.addEventListener('visibilitychange', this.wake)
    this.open()
  }

  stop(): void {
    this.stopped = true
    window.removeEventListener('online', this.wake)
    window.removeEventListener('pageshow', this.wake)
    document.removeEventListener('visibilitychange', this.wake)
    this.drop()
    window.clearTimeout(this.retry)
    window.clearTimeout(this.polling)
    this.polling = undefined
  }

  send(message: object): void {
    if (this.entered) this.socket?.send(JSON.stringify(message))
  }

  /** Open a new socket at once: what came over this one has a hole. */
  again(): void {
    this.failed(true)
  }

  /** Try at once where a try is waiting: the network or the page came back. */
  private readonly wake = (): void => {
    if (document.visibilityState === 'hidden' || this.stopped) return
    if (this.phase === 'reconnecting' || this.phase === 'polling') this.open()
  }

  private open(): void {
    this.drop()
    window.clearTimeout(this.retry)
    const socket = new WebSocket(this.address)
    this.socket = socket
    socket.addEventListener('message', (event) => {
      if (socket === this.socket) this.take(JSON.parse(String(event.data)) as FromServer)
    })
    socket.addEventListener('close', (event) => {
      if (socket === this.socket) this.closed(event.code)
    })
    this.watch()
  }

  private take(message: FromServer): void {
    this.watch()
    if (!this.entered) {
      this.entered = true
      this.failures = 0
      window.clearTimeout(this.polling)
      this.polling = undefined
      this.change('live')
      this.handlers.opened()
    }
    this.handlers.message(message)
  }

  private closed(code: number): void {
    this.socket = null
    window.clearTimeout(this.watchdog)
    if (code === UNAUTHENTICATED || code === FORBIDDEN) {
      this.stop()
      this.change(code === FORBIDDEN ? 'forbidden' : 'unauthenticated')
    } else this.failed(false)
  }

  private failed(atOnce: boolean): void {
    this.drop()
    window.clearTimeout(this.retry)
    if (this.stopped) return
    this.failures += 1
    const blocked = this.polling !== undefined
    if (!blocked) this.change(this.phase === 'connecting' ? 'connecting' : 'reconnecting')
    if (this.failures >= TRIES && !blocked) void this.poll()
    // Full jitter, so that a thousand pages do not return in the same instant when a server comes back.
    const most = blocked ? RETRY_WHILE_POLLING : Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.failures - 1))
    this.retry = window.setTimeout(
      () => {
        this.open()
      },
      atOnce && this.failures <= 1 ? 0 : most / 2 + (Math.random() * most) / 2,
    )
  }

  private async poll(): Promise<void> {
    this.polling = window.setTimeout(() => undefined, 0)
    const status = await this.handlers.poll()
    if (this.stopped || this.entered) return
    if (status === 401) {
      this.stop()
      this.change('unauthenticated')
      return
    }
    this.change(status >= 200 && status < 300 ? 'polling' : 'reconnecting')
    this.polling = window.setTimeout(() => void this.poll(), POLL_EVERY)
  }

  private watch(): void {
    window.clearTimeout(this.watchdog)
    this.watchdog = window.setTimeout(() => {
      this.failed(false)
    }, SILENCE)
  }

  private drop(): void {
    window.clearTimeout(this.watchdog)
    this.entered = false
    const socket = this.socket
    this.socket = null
    socket?.close()
  }

  private change(phase: Phase): void {
    if (phase === this.phase) return
    this.phase = phase
    this.handlers.phase(phase)
  }
}
