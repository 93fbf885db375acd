import { beforeEach, describe, expect, it, vi } from 'vitest'
import { sendFile, type UploadProgress, type UploadWays } from './uploads'

/** sha256 of "0123456789". */
const DIGEST = 'sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882'
const file = () => new File(['0123456789'], 'models.bundle.tar')

/** The registry as far as one upload needs it; `faults` answer before it does, by the number of the request. */
class Registry {
  kept: string | null = null
  upload: string | null = null
  requests: string[] = []
  faults = new Map<number, () => Response>()

  answer = (path: string, given: RequestInit): Promise<Response> =>
    Promise.resolve().then(() => this.respond(path, given))

  private respond(path: string, given: RequestInit): Response {
    const method = given.method ?? 'GET'
    this.requests.push(method)
    const fault = this.faults.get(this.requests.length)
    if (fault !== undefined) return fault()
    const headers = new Headers(given.headers)
    if (headers.get('Authorization') !== 'Bearer good') return new Response('{}', { status: 401 })
    if (method === 'HEAD') return new Response(null, { status: this.kept === null ? 404 : 200 })
    if (method === 'POST') {
      expect(new URLSearchParams(path.split('?')[1]).get('mount')).toBe(DIGEST)
      if (this.kept !== null) return new Response(null, { status: 201 })
      this.upload = ''
      return new Response(null, {
        status: 202,
        headers: { Location: 'http://elsewhere/v2/library/bundles/blobs/uploads/one' },
      })
    }
    expect(path.split('?')[0]).toBe('/v2/library/bundles/blobs/uploads/one')
    if (this.upload === null) return new Response('{}', { status: 404 })
    if (method === 'GET')
      return new Response(null, {
        status: 204,
        headers: { Range: `0-${Math.max(0, this.upload.length - 1)}` },
      })
    if (method === 'PATCH') {
      const body = new TextDecoder().decode(given.body as ArrayBuffer)
      if (Number(headers.get('Content-Range')?.split('-')[0]) !== this.upload.length)
        return new Response('{}', { status: 416 })
      this.upload += body
      return new Response(null, { status: 202 })
    }
    if (method === 'DELETE') {
      this.upload = null
      return new Response(null, { status: 204 })
    }
    expect(path).toContain(`?digest=${DIGEST}`)
    this.kept = this.upload
    this.upload = null
    return new Response(null, { status: 201 })
  }
}

let registry: Registry
let told: UploadProgress[]
let tokens: string[]

const ways = (more: Partial<UploadWays> = {}): UploadWays => ({
  grant: (anew) => {
    if (anew) tokens.shift()
    return Promise.resolve({ token: tokens[0] ?? 'none', repository: 'library/bundles' })
  },
  tell: (progress) => told.push(progress),
  signal: new AbortController().signal,
  rest: () => Promise.resolve(),
  chunk: 4,
  ...more,
})

beforeEach(() => {
  registry = new Registry()
  told = []
  tokens = ['good']
  vi.stubGlobal('fetch', registry.answer)
})

describe('a file', () => {
  it('is hashed, sent in chunks, and verified', async () => {
    expect(await sendFile(file(), ways())).toBe(DIGEST)
    expect(registry.kept).toBe('0123456789')
    expect(told.filter(({ step }) => step === 'sending').map(({ done }) => done)).toEqual([0, 4, 8, 10])
    expect(window.localStorage.length).toBe(0)
  })

  it('is not sent where it is already', async () => {
    registry.kept = '0123456789'
    await sendFile(file(), ways())
    expect(registry.requests).toEqual(['POST'])
  })

  it('goes on after errors where the server says, with a new token where the last one lapsed', async () => {
    tokens = ['lapsed', 'good']
    registry.faults.set(6, () => {
      throw new TypeError('network')
    })
    registry.faults.set(8, () => new Response('{}', { status: 503 }))
    await sendFile(file(), ways())
    expect(registry.kept).toBe('0123456789')
    expect(registry.requests.join(' ')).toBe('POST POST POST POST PATCH PATCH GET PATCH GET PATCH PATCH PUT')
  })

  it('begins anew where the upload was forgotten', async () => {
    registry.faults.set(3, () => {
      registry.upload = null
      return new Response('{}', { status: 404 })
    })
    await sendFile(file(), ways())
    expect(registry.kept).toBe('0123456789')
  })

  it('goes on when it is picked again after it was stopped', async () => {
    const stop = new AbortController()
    const tell = ({ step, done }: UploadProgress) => {
      if (step === 'sending' && done === 8) stop.abort(new Error('stopped'))
    }
    await expect(sendFile(file(), ways({ tell, signal: stop.signal }))).rejects.toThrow('stopped')
    expect(registry.upload).toBe('01234567')
    await sendFile(file(), ways())
    expect(told.find(({ step }) => step === 'sending')?.done).toBe(8)
    expect(registry.kept).toBe('0123456789')
  })

  it('is given up in the words of the server, at once where nothing will change', async () => {
    const body = JSON.stringify({ errors: [{ code: 'DENIED', message: 'Too much is there.' }] })
    registry.faults.set(2, () => new Response(body, { status: 413 }))
    await expect(sendFile(file(), ways())).rejects.toMatchObject({
      status: 413,
      code: 'DENIED',
      message: 'Too much is there.',
    })
    expect(registry.requests).toHaveLength(2)
    const away = () => Promise.reject(new TypeError('network'))
    vi.stubGlobal('fetch', away)
    await expect(sendFile(file(), ways())).rejects.toMatchObject({ code: 'unreachable' })
  })
})
