import { expect, test } from 'vitest'
import { casesOf } from './cases'

test('what is no list of objects is no list of cases', () => {
  expect(casesOf('[{"name": "x"}]')).toEqual([{ name: 'x' }])
  for (const text of ['', '{', '{}', '[]', '[1]', '[[]]', '[null]', '[{}, "x"]'])
    expect(casesOf(text)).toBeNull()
})
