import { expect, it } from 'vitest'
import { queryOf } from './requestQuery'

it.each([
  ['', {}],
  ['01a22', { id: '01a22' }],
  ['01A22429-1873-7702', { id: '01A22429-1873-7702' }],
  ['qwen3', { model: 'qwen3:latest' }],
  [' qwen3:8b ', { model: 'qwen3:8b' }],
  ['abc', { model: 'abc:latest' }],
])('a search for %j', (text, expected) => {
  expect(queryOf({ text, filters: {} })).toEqual(expected)
})

it('filters are asked for, and empty ones are not', () => {
  expect(
    queryOf({ text: '', filters: { outcome: ['failed', 'refused'], slower: ['1000'], span: ['24'] } }),
  ).toEqual({
    outcome: ['failed', 'refused'],
    slower_than_ms: 1000,
  })
  expect(queryOf({ text: '', filters: { outcome: [] } })).toEqual({})
})
