import { expect, test } from 'vitest'
import { speedOf, type Sample } from './speed'

test('speed is that of the last ten seconds, and none at the beginning', () => {
  const told: Sample[] = [
    { at: 0, done: 5_000 },
    { at: 400, done: 6_000 },
    { at: 1_000, done: 7_000 },
    { at: 11_000, done: 7_000 },
    { at: 12_000, done: 7_500 },
  ]
  const speeds: (number | null)[] = []
  let kept: readonly Sample[] = []
  for (const sample of told) {
    const found = speedOf(kept, sample)
    kept = found.kept
    speeds.push(found.speed)
  }
  expect(speeds).toEqual([null, null, 2_000, 0, 500])
})
