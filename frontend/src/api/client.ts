/** The management API: one typed client, and its errors as one class. */
import createClient from 'openapi-fetch'
import type { paths } from './schema'

/** What the server said was wrong (RFC 9457 problem details), or that it did not answer. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter: number | null = null,
    /** What is wrong with fields of the body, by their paths: `limits.tokens_per_minute`; `''` is the body as a whole. */
    readonly fields: Readonly<Record<string, readonly string[]>> = {},
    /** How to confirm that it is oneself, where that is asked for first. */
    readonly confirming: Confirming | null = null,
  ) {
    super(message)
    this.name = 'Problem'
  }
}

function csrfToken(): string | null {
  const found = /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)
  return found?.[1] ?? null
}

/** How somebody can confirm that it is they: by what they have, or by the identity provider that vouched for them. */
export interface Confirming {
  ways: readonly string[]
  provider: string | null
}

/** Asks the person at the screen; whether they confirmed. */
type Confirm = (how: Confirming) => Promise<boolean>

let confirm: Confirm | null = null

/** Whom to ask when the API wants to know anew who it is: the shell's dialog. */
export function askToConfirm(by: Confirm): void {
  confirm = by
}

/** Requests under way, as they were before their bodies were sent: to send them again. */
const sent = new Map<string, Request>()

function withToken(request: Request): Request {
  const token = csrfToken()
  if (request.method !== 'GET' && token !== null) request.headers.set('X-CSRFToken', token)
  return request
}

export const api = createClient<paths>({ credentials: 'same-origin' })

api.use({
  onRequest({ request, id }) {
    const ready = withToken(request)
    sent.set(id, ready.clone())
    return ready
  },
  async onResponse({ response, id }) {
    const again = sent.get(id)
    sent.delete(id)
    if (response.ok) return
    const problem = await problemOf(response)
    if (problem.confirming === null || again === undefined || confirm === null) throw problem
    if (!(await confirm(problem.confirming))) throw problem
    const answer = await fetch(withToken(again))
    if (!answer.ok) throw await problemOf(answer)
    return answer
  },
  onError({ id }) {
    sent.delete(id)
    return new Problem(0, 'unreachable', 'The server does not answer. Check the connection and try again.')
  },
})

async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {}
  try {
    const read: unknown = await response.json()
    if (typeof read === 'object' && read !== null) body = read as Record<string, unknown>
  } catch {
    // Not JSON: a proxy's page, perhaps. The status has to do.
  }
  const text = (name: string): string | null => {
    const value = body[name]
    return typeof value === 'string' && value !== '' ? value : null
  }
  const wait = Number(response.headers.get('Retry-After') ?? Number.NaN)
  return new Problem(
    response.status,
    text('code') ?? `http_${response.status}`,
    text('detail') ?? text('title') ?? `The server answered ${response.status}.`,
    Number.isFinite(wait) ? wait : null,
    fieldsOf(body.fields),
    body.code === 'confirmation_needed' ? confirmingOf(body) : null,
  )
}

function confirmingOf({ ways, provider }: Record<string, unknown>): Confirming {
  return {
    ways: Array.isArray(ways) ? ways.map(String) : [],
    provider: typeof provider === 'string' ? provider : null,
  }
}

function fieldsOf(value: unknown): Record<string, string[]> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).map(([name, said]) => [name, (Array.isArray(said) ? said : [said]).map(String)]),
  )
}

/** The body of an answer that must have one. */
export function bodyOf<T>(answer: { data?: T }): T {
  if (answer.data === undefined) throw new Problem(0, 'empty', 'The server sent an empty answer.')
  return answer.data
}

/** A sentence for a person about anything that was thrown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : 'Something went wrong.'
}
