import { describe, expect, it } from 'vitest'
import type { HealthView } from '../live/topics'
import type { FindingRow } from '../live/types'
import { grouped, together, type FleetProblem } from './health'

function row(number: number, more: Partial<FindingRow> = {}): FindingRow {
  return {
    key: String(number),
    kind: 'node',
    id: `n${String(number)}`,
    name: `node ${String(number)}`,
    code: 'gpu_memory_full',
    severity: 'warning',
    text: `GPU ${String(number)} has 97 % of its memory in use.`,
    since: number,
    ...more,
  }
}

function view(findings: FindingRow[]): HealthView {
  return { state: 'degraded', counts: {}, rows: new Map(), findings }
}

describe('problems that many nodes have', () => {
  const problems = (rows: FindingRow[]): readonly FleetProblem[] => together(view(rows), null).problems

  it('are one group, at the place of the first', () => {
    const rows = [
      row(0, { code: 'node_silent', severity: 'critical' }),
      ...[1, 2, 3, 4].map((each) => row(each)),
    ]
    const groups = grouped(problems(rows))
    expect(groups.map((group) => group.problems.length)).toEqual([1, 4])
    expect(groups[1]?.first.id).toBe('n1')
  })

  it('stay alone while there are two of them, or where they are about the fleet', () => {
    expect(grouped(problems([row(1), row(2)])).map((group) => group.problems.length)).toEqual([1, 1])
    const fleet = [1, 2, 3].map((each) => row(each, { kind: 'fleet', code: 'job_failed' }))
    expect(grouped(problems(fleet))).toHaveLength(3)
  })

  it('lose none, whatever they are', () => {
    const codes = ['a', 'b', 'c']
    const rows = Array.from({ length: 40 }, (_, number) =>
      row(number, { code: codes[(number * 7) % 3] ?? 'a' }),
    )
    const told = grouped(problems(rows)).flatMap((group) => group.problems.map((each) => each.id))
    expect(told.sort()).toEqual(rows.map((each) => each.id).sort())
  })
})

describe('the control plane beside the fleet', () => {
  it('makes the whole as bad as the worse of the two, and says what nobody knows once', () => {
    const unknown = row(1, { kind: 'system', code: 'health_unknown', severity: 'critical' })
    const both = together(view([unknown]), { state: 'unknown', at: null, findings: [unknown] })
    expect([both.state, both.well, both.problems.length]).toEqual(['unknown', false, 1])
    const late = row(2, { kind: 'system', code: 'loop_late', severity: 'critical' })
    const worse = together(view([row(3)]), { state: 'unhealthy', at: 1, findings: [late] })
    expect([worse.state, worse.problems[0]?.code]).toEqual(['unhealthy', 'loop_late'])
  })
})
