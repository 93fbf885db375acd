/** Sends a file to the registry in chunks (`/v2/`), and goes on where it broke off: after an error, and when the same file is picked again. */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { keep, kept } from '../app/preferences'
import { Problem } from './client'

/** Bytes of a request; of one that fails nothing is kept. */
const CHUNK = 4 << 20
/** Between two of these the page can be used. */
const HASHED = 1 << 20
/** Failures without a byte between them, after which it is given up. */
const TRIES = 8
const LONGEST_REST = 5_000
const AGAIN = new Set([401, 404, 408, 409, 416, 429, 502, 503, 504])

export interface UploadGrant {
  token: string
  repository: string
}

/** `sending` begins with what the server has already. */
export interface UploadProgress {
  step: 'hashing' | 'sending'
  done: number
  total: number
}

export interface UploadWays {
  /** The token to send with; `anew` where the last one is no good any more. */
  grant: (anew: boolean) => Promise<UploadGrant>
  tell: (progress: UploadProgress) => void
  signal: AbortSignal
  rest?: (ms: number) => Promise<void>
  chunk?: number
}

/** Makes the server have the bytes of `file`; its digest. Raises `Problem`, and what `signal` was aborted with. */
export async function sendFile(file: File, ways: UploadWays): Promise<string> {
  const digest = await digestOf(file, ways)
  await new Sending(file, digest, ways).run()
  return digest
}

async function digestOf(file: File, { tell, signal }: UploadWays): Promise<string> {
  const hash = sha256.create()
  for (let at = 0; at < file.size; at += HASHED) {
    signal.throwIfAborted()
    hash.update(new Uint8Array(await partOf(file, at, at + HASHED)))
    tell({ step: 'hashing', done: Math.min(at + HASHED, file.size), total: file.size })
  }
  return `sha256:${bytesToHex(hash.digest())}`
}

async function partOf(file: File, from: number, until: number): Promise<ArrayBuffer> {
  try {
    return await file.slice(from, until).arrayBuffer()
  } catch {
    throw new Problem(0, 'unreadable', 'The file cannot be read any more: it was changed or removed.')
  }
}

class Sending {
  /** Where this browser notes an upload that was begun. */
  private readonly note: string
  private failures = 0

  constructor(
    private readonly file: File,
    private readonly digest: string,
    private readonly ways: UploadWays,
  ) {
    this.note = `omx.upload.${digest}`
  }

  async run(): Promise<void> {
    let place = (await this.resumed()) ?? (await this.begun())
    if (place === null) return
    this.tell(place.at)
    while (place.at < this.file.size) {
      const until = Math.min(place.at + (this.ways.chunk ?? CHUNK), this.file.size)
      const body = await partOf(this.file, place.at, until)
      const answer = await this.once('PATCH', place.path, {
        body,
        headers: {
          'Content-Type': 'application/octet-stream',
          'Content-Range': `${place.at}-${until - 1}`,
        },
      })
      if (answer?.status === 202) {
        place = { path: place.path, at: until }
        this.failures = 0
      } else {
        await this.failed(answer)
        place = (await this.resumed()) ?? (await this.begun())
        if (place === null) return
      }
      this.tell(place.at)
    }
    const done = await this.tried('PUT', `${place.path}?digest=${this.digest}`)
    keep(this.note, null)
    if (done.status !== 201 && !(done.status === 404 && (await this.isThere()))) throw await refusalOf(done)
  }

  private tell(done: number): void {
    this.ways.tell({ step: 'sending', done, total: this.file.size })
  }

  private async isThere(): Promise<boolean> {
    const { repository } = await this.ways.grant(false)
    const found = await this.tried('HEAD', `/v2/${repository}/blobs/${this.digest}`)
    if (found.status === 404) return false
    if (!found.ok) throw await refusalOf(found)
    return true
  }

  /** The path of the upload that was begun, and how many bytes it has; `null` where there is none any more. */
  private async resumed(): Promise<{ path: string; at: number } | null> {
    const path = kept(this.note)
    if (path === null) return null
    const found = await this.tried('GET', path)
    if (found.status === 404) return null
    if (found.status !== 204) throw await refusalOf(found)
    const last = Number(/^0-(\d+)$/.exec(found.headers.get('Range') ?? '')?.[1] ?? 0)
    if (last > 0 && last < this.file.size) return { path, at: last + 1 }
    // "0-0" is told of none and of one byte.
    await this.tried('DELETE', path)
    return null
  }

  /** A new upload; `null` where the repository has the whole blob already: a mount from itself says so, where asking for the blob would be a 404 in the browser's log. */
  private async begun(): Promise<{ path: string; at: number } | null> {
    const { repository } = await this.ways.grant(false)
    const mount = new URLSearchParams({ mount: this.digest, from: repository })
    const answer = await this.tried('POST', `/v2/${repository}/blobs/uploads/?${mount.toString()}`)
    if (answer.status === 201) return null
    if (answer.status !== 202) throw await refusalOf(answer)
    // At the address that the page came from: behind a proxy the server may know itself by another one.
    const path = new URL(answer.headers.get('Location') ?? '', window.location.origin).pathname
    keep(this.note, path)
    return { path, at: 0 }
  }

  /** A request that may be sent again; what it is answered in the end, a 404 as well. */
  private async tried(method: string, path: string): Promise<Response> {
    for (;;) {
      const answer = await this.once(method, path)
      const over = answer !== null && (answer.status === 404 || !AGAIN.has(answer.status))
      // As many as there may be are begun: that does not pass by itself.
      if (over || (answer?.status === 409 && method === 'POST')) return answer
      await this.failed(answer)
    }
  }

  /** `null` where the server did not answer. */
  private async once(
    method: string,
    path: string,
    more: { body?: ArrayBuffer; headers?: Record<string, string> } = {},
  ): Promise<Response | null> {
    const { signal } = this.ways
    signal.throwIfAborted()
    const { token } = await this.ways.grant(false)
    try {
      return await fetch(path, {
        ...more,
        method,
        headers: { ...more.headers, Authorization: `Bearer ${token}` },
        credentials: 'omit',
        signal,
      })
    } catch {
      signal.throwIfAborted()
      return null
    }
  }

  /** Raises what it was, unless it may go better after a rest. */
  private async failed(answer: Response | null): Promise<void> {
    if (answer !== null && !AGAIN.has(answer.status)) throw await refusalOf(answer)
    this.failures += 1
    if (this.failures === TRIES) {
      throw answer === null
        ? new Problem(0, 'unreachable', 'The server does not answer.')
        : await refusalOf(answer)
    }
    // A token is known to every process of the server only moments after it was made: one that is refused for longer is no good.
    if (answer?.status === 401 && this.failures > 2) await this.ways.grant(true)
    const rest = this.ways.rest ?? ((ms) => new Promise<void>((resolve) => setTimeout(resolve, ms)))
    await rest(Math.min(LONGEST_REST, 100 * 2 ** this.failures))
  }
}

/** What the registry protocol says that went wrong. */
async function refusalOf(answer: Response): Promise<Problem> {
  let said: { code?: string; message?: string } | undefined
  try {
    said = ((await answer.json()) as { errors?: { code?: string; message?: string }[] }).errors?.[0]
  } catch {
    // No body, or not JSON: the status has to do.
  }
  return new Problem(
    answer.status,
    said?.code ?? `http_${answer.status}`,
    said?.message ?? `The server answered ${answer.status}.`,
  )
}
