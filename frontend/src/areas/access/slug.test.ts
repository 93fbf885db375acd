import { expect, test } from 'vitest'
import { slugOf } from './slug'

test('a name of whatever kind makes a slug that the server takes, or none', () => {
  const form = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
  for (const name of ['Night shift', 'Schöne Grüße', '--a--', 'x'.repeat(80), `${'a'.repeat(62)} b`, '9']) {
    expect(slugOf(name)).toMatch(form)
  }
  expect(slugOf('Night shift')).toBe('night-shift')
  expect(slugOf('夜')).toBe('')
})
