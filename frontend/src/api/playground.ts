/** Inference for the playground: by a token of minutes that only this page's memory holds. */
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { api, bodyOf, Problem } from './client'
import { errorIn } from './openai'

let held: { token: string; until: number } | null = null
/** Milliseconds before its end, from which a token is not begun with any more. */
const SPARE = 60_000

export async function pageToken(): Promise<string> {
  if (held === null || held.until - SPARE < Date.now()) {
    const made = bodyOf(await api.POST('/api/v1/playground/token'))
    held = { token: made.token, until: Date.parse(made.expires_at) }
  }
  return held.token
}

/** Forget it: the session acts in another tenant, or is over. */
export function forgetToken(): void {
  held = null
}

export interface Part {
  text: string
  thinking: string
  usage: { prompt: number; completion: number } | null
  calls: ToolCall[]
  finish: string | null
}

export interface ToolCall {
  name: string
  arguments: string
}

/** Stream a chat completion. `onPart` gets what was said so far, each time more; the answer names the request and its end. */
export async function chat(
  body: Readonly<Record<string, unknown>>,
  onPart: (part: Part) => void,
  signal: AbortSignal,
): Promise<{ request: string | null; part: Part }> {
  const answer = await fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { Authorization: `Bearer ${await pageToken()}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    credentials: 'omit',
    signal,
  })
  if (!answer.ok || answer.body === null) {
    if (answer.status === 401) forgetToken()
    throw new Problem(answer.status, 'refused', await errorIn(answer))
  }
  let part: Part = { text: '', thinking: '', usage: null, calls: [], finish: null }
  const events = answer.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader()
  for (;;) {
    const { done, value } = await events.read()
    if (done) break
    if (value.data === '[DONE]') continue
    part = withChunk(part, JSON.parse(value.data))
    onPart(part)
  }
  return { request: answer.headers.get('x-request-id'), part }
}

interface Chunk {
  error?: { message?: string }
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null
  choices?: {
    finish_reason?: string | null
    delta?: {
      content?: string | null
      reasoning?: string | null
      reasoning_content?: string | null
      tool_calls?: { index?: number; function?: { name?: string; arguments?: string } }[]
    }
  }[]
}

/** What was said so far, with one chunk more. Pure. */
export function withChunk(part: Part, said: unknown): Part {
  const chunk = said as Chunk
  if (chunk.error !== undefined)
    throw new Problem(0, 'stream', chunk.error.message ?? 'The answer broke off.')
  const choice = chunk.choices?.[0]
  const delta = choice?.delta
  const calls = [...part.calls]
  for (const call of delta?.tool_calls ?? []) {
    const index = call.index ?? calls.length
    const before = calls[index] ?? { name: '', arguments: '' }
    calls[index] = {
      name: before.name + (call.function?.name ?? ''),
      arguments: before.arguments + (call.function?.arguments ?? ''),
    }
  }
  return {
    text: part.text + (delta?.content ?? ''),
    thinking: part.thinking + (delta?.reasoning_content ?? delta?.reasoning ?? ''),
    usage:
      chunk.usage == null
        ? part.usage
        : { prompt: chunk.usage.prompt_tokens ?? 0, completion: chunk.usage.completion_tokens ?? 0 },
    calls,
    finish: choice?.finish_reason ?? part.finish,
  }
}
