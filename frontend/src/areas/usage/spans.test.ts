import { describe, expect, it } from 'vitest'
import { before, between, changeOf, SPANS } from './spans'

const TODAY = new Date('2026-03-31T23:30:00Z')

describe('times of usage', () => {
  it('months are calendar months, and the month before them', () => {
    const month = between('month', TODAY)
    expect(month).toEqual({ since: '2026-03-01T00:00:00.000Z', until: '2026-04-01T00:00:00.000Z' })
    expect(before('month', month)).toEqual({ since: '2026-02-01T00:00:00.000Z', until: month.since })
    expect(between('before', new Date('2026-01-15T00:00:00Z')).since).toBe('2025-12-01T00:00:00.000Z')
  })

  it.each(SPANS)('%s holds what it says, and the time before ends where it begins', (span) => {
    const now = between(span, TODAY)
    const then = before(span, now)
    expect(then.until).toBe(now.since)
    expect(Date.parse(then.since)).toBeLessThan(Date.parse(now.since))
    if (span !== 'before') expect(Date.parse(now.until)).toBeGreaterThan(TODAY.getTime())
  })

  it('a change is said beside what was before, and not where nothing was', () => {
    expect(changeOf(5, 0)).toBeNull()
    expect(changeOf(5, 5)).toBe('±0 %')
    expect(changeOf(150, 100)).toMatch(/^\+50/)
    expect(changeOf(50, 100)).toMatch(/^−50/)
  })
})
