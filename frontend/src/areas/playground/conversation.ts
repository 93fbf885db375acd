/** A conversation in the playground: its turns, and the request that asks for the next one. Pure. */
import type { Part } from '../../api/playground'

export interface Turn {
  role: 'user' | 'assistant'
  text: string
  /** Data URLs. */
  images?: readonly string[]
  answer?: Answered
}

export interface Answered extends Part {
  /** Milliseconds. */
  firstToken: number | null
  took: number | null
  request: string | null
  error: string | null
}

export interface Parameters {
  system: string
  temperature: number | ''
  topP: number | ''
  maxTokens: number | ''
  seed: number | ''
  /** JSON: a list of tools. */
  tools: string
  /** JSON: a schema that the answer keeps. */
  schema: string
}

export const DEFAULTS: Parameters = {
  system: '',
  temperature: '',
  topP: '',
  maxTokens: '',
  seed: '',
  tools: '',
  schema: '',
}

/** Which of the JSON texts cannot be read. */
export function unreadable(parameters: Pick<Parameters, 'tools' | 'schema'>): ('tools' | 'schema')[] {
  return (['tools', 'schema'] as const).filter((name) => {
    if (parameters[name].trim() === '') return false
    try {
      const value: unknown = JSON.parse(parameters[name])
      return name === 'tools' ? !Array.isArray(value) : typeof value !== 'object' || value === null
    } catch {
      return true
    }
  })
}

/** The body of `POST /v1/chat/completions`; what is not chosen is left to the model. */
export function bodyOfChat(
  model: string,
  turns: readonly Turn[],
  parameters: Parameters,
): Record<string, unknown> {
  const { system, temperature, topP, maxTokens, seed, tools, schema } = parameters
  return {
    model,
    messages: [
      ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
      ...turns.map(({ role, text, images = [] }) => ({
        role,
        content:
          images.length === 0
            ? text
            : [{ type: 'text', text }, ...images.map((url) => ({ type: 'image_url', image_url: { url } }))],
      })),
    ],
    ...(temperature === '' ? {} : { temperature }),
    ...(topP === '' ? {} : { top_p: topP }),
    ...(maxTokens === '' ? {} : { max_tokens: maxTokens }),
    ...(seed === '' ? {} : { seed }),
    ...(tools.trim() === '' ? {} : { tools: JSON.parse(tools) as unknown }),
    ...(schema.trim() === ''
      ? {}
      : {
          response_format: {
            type: 'json_schema',
            json_schema: { name: 'answer', schema: JSON.parse(schema) as unknown },
          },
        }),
  }
}

/** The same request as a program would send it; the key is named, never written. */
export function asCode(
  language: 'curl' | 'python' | 'javascript',
  origin: string,
  body: Readonly<Record<string, unknown>>,
): string {
  const json = JSON.stringify(body, null, 2)
  if (language === 'curl') {
    return [
      `curl ${origin}/v1/chat/completions \\`,
      '  -H "Authorization: Bearer $OLLAMAMAX_API_KEY" \\',
      '  -H "Content-Type: application/json" \\',
      `  -d '${json.replaceAll("'", "'\\''")}'`,
    ].join('\n')
  }
  if (language === 'python') {
    return [
      'import json',
      'import os',
      '',
      'from openai import OpenAI',
      '',
      `client = OpenAI(base_url="${origin}/v1", api_key=os.environ["OLLAMAMAX_API_KEY"])`,
      `request = json.loads(${JSON.stringify(JSON.stringify(body))})`,
      'answer = client.chat.completions.create(**request)',
      'print(answer.choices[0].message.content)',
    ].join('\n')
  }
  return [
    "import OpenAI from 'openai'",
    '',
    `const client = new OpenAI({ baseURL: '${origin}/v1', apiKey: process.env.OLLAMAMAX_API_KEY })`,
    `const answer = await client.chat.completions.create(${json})`,
    'console.log(answer.choices[0].message.content)',
  ].join('\n')
}
