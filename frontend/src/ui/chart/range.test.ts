import { expect, it } from 'vitest'
import { rangeOf } from './useRange'

it('is the last so many seconds, or a part', () => {
  expect(rangeOf({}, 10_000, 3_600)).toEqual({ last: 3_600, from: 6_400, to: 10_000 })
  expect(rangeOf({ last: 300 }, 10_000, 3_600)).toEqual({ last: 300, from: 9_700, to: 10_000 })
  expect(rangeOf({ from: 5, to: '9' }, 10_000, 3_600)).toEqual({ last: null, from: 5, to: 9 })
})

it.each([{ last: 7 }, { last: 'x' }, { from: 9, to: 5 }, { from: 'x', to: 5 }, { from: 1 }])(
  'is the first one where an address makes no sense: %j',
  (search) => {
    expect(rangeOf(search, 10_000, 3_600).last).toBe(3_600)
  },
)
