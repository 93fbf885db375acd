import { expect, test } from 'vitest'
import { isHold, NO_PLAN, stepsOf } from './rolloutPlan'

test('a rollout in steps has those of the server, and all of them after shadow traffic', () => {
  expect(stepsOf(NO_PLAN)).toBeNull()
  const steps = stepsOf({ ...NO_PLAN, shadow: '0.05' })
  expect(steps?.map((each) => [each.share, each.shadow])).toEqual([
    [0.05, true],
    [0.01, false],
    [0.05, false],
    [0.25, false],
    [0.5, false],
    [1, false],
  ])
})

test('a blue-green rollout has one step, which is its hold time', () => {
  const values = { ...NO_PLAN, kind: 'blue_green' as const, hold: 20 }
  expect(stepsOf(values)).toEqual([{ share: 1, seconds: 1200, requests: 100, shadow: false }])
  expect(stepsOf({ ...values, shadow: '0.1' })?.[0]?.shadow).toBe(true)
  expect([0, '', 43_201, 'x'].map((hold) => isHold({ ...values, hold }))).toEqual([
    false,
    false,
    false,
    false,
  ])
  expect(isHold(values)).toBe(true)
  expect(isHold({ ...NO_PLAN, hold: '' })).toBe(true)
})

test('a rollout of shadow traffic shows nobody anything', () => {
  expect(stepsOf({ ...NO_PLAN, kind: 'shadow' })).toBeNull()
  expect(stepsOf({ ...NO_PLAN, kind: 'shadow', shadow: '1' })?.every((each) => each.shadow)).toBe(true)
})
