import { describe, expect, it } from 'vitest'
import { withChunk, type Part } from '../../api/playground'
import { asCode, bodyOfChat, DEFAULTS, unreadable } from './conversation'

const NOTHING: Part = { text: '', thinking: '', usage: null, calls: [], finish: null }

describe('what a stream says', () => {
  it('grows chunk by chunk', () => {
    const chunks = [
      { choices: [{ delta: { role: 'assistant', content: '' } }] },
      { choices: [{ delta: { reasoning_content: 'Hm.' } }] },
      { choices: [{ delta: { content: 'Hel' } }] },
      { choices: [{ delta: { content: 'lo' }, finish_reason: 'stop' }] },
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } },
    ]
    expect(chunks.reduce<Part>(withChunk, NOTHING)).toEqual({
      text: 'Hello',
      thinking: 'Hm.',
      usage: { prompt: 3, completion: 2 },
      calls: [],
      finish: 'stop',
    })
  })

  it('has the calls of tools whole, each by its place', () => {
    const call = (index: number, name?: string, text?: string) => ({
      choices: [{ delta: { tool_calls: [{ index, function: { name, arguments: text } }] } }],
    })
    const part = [
      call(0, 'look'),
      call(1, 'sum', '{"a"'),
      call(0, undefined, '{}'),
      call(1, undefined, ':1}'),
    ].reduce<Part>(withChunk, NOTHING)
    expect(part.calls).toEqual([
      { name: 'look', arguments: '{}' },
      { name: 'sum', arguments: '{"a":1}' },
    ])
  })

  it('ends with the words of an error in it', () => {
    expect(() => withChunk(NOTHING, { error: { message: 'The node was lost.' } })).toThrow(
      'The node was lost.',
    )
  })
})

describe('the request', () => {
  it('leaves to the model what is not chosen', () => {
    expect(bodyOfChat('m', [{ role: 'user', text: 'Hi' }], DEFAULTS)).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: 'Hi' }],
    })
  })
  it('has what is chosen, with images and a schema', () => {
    const body = bodyOfChat('m', [{ role: 'user', text: 'What?', images: ['data:image/png;base64,AA=='] }], {
      ...DEFAULTS,
      system: 'Be short.',
      temperature: 0,
      schema: '{"type":"object"}',
    })
    expect(body).toMatchObject({
      temperature: 0,
      messages: [{ role: 'system' }, { content: [{ type: 'text' }, { type: 'image_url' }] }],
      response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
    })
  })
  it('is not sent while a JSON text cannot be read', () => {
    expect(unreadable({ tools: '{}', schema: '' })).toEqual(['tools'])
    expect(unreadable({ tools: '[]', schema: '{' })).toEqual(['schema'])
    expect(unreadable({ tools: ' ', schema: '{}' })).toEqual([])
  })
})

it('is copied as code that names the key and never holds one, whatever quotes are in it', () => {
  const body = bodyOfChat('m', [{ role: 'user', text: `it's "so" \\ \n` }], DEFAULTS)
  for (const language of ['curl', 'python', 'javascript'] as const) {
    const code = asCode(language, 'https://x.example', body)
    expect(code).toContain('OLLAMAMAX_API_KEY')
    expect(code).toContain('https://x.example/v1')
  }
  expect(asCode('curl', '', body)).toContain(`it'\\''s`)
})
