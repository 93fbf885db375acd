import { expect, it } from 'vitest'
import { axisWidth, top, withGaps } from './data'

it('has a hole where measurements are missing, and none where one is only late', () => {
  expect(withGaps([0, 10, 22, 60, 70], [[1, 2, 3, 4, 5]], 10)).toEqual([
    [0, 10, 22, 32, 60, 70],
    [1, 2, 3, null, 4, 5],
  ])
})

it('keeps lines apart that have holes of their own', () => {
  expect(
    withGaps(
      [0, 1],
      [
        [1, null],
        [null, 2],
      ],
      1,
    ),
  ).toEqual([
    [0, 1],
    [1, null],
    [null, 2],
  ])
})

it.each([
  [0, 4],
  [4, 4],
  [5, 6],
  [99, 150],
  [100_000, 150_000],
  [9_999_999, 15_000_000],
])('has a top for %i that ticks well', (highest, expected) => {
  expect(top([[0], [highest]])).toBe(expected)
})

it('is as wide as its widest number', () => {
  const width = (text: string) => text.length * 7
  expect(axisWidth(['0', '100,000'], width)).toBe(61)
  expect(axisWidth(null, width)).toBe(36)
})
