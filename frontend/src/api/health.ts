/** How well the fleet is, as the control plane judged it: told live; asked for where the live socket does not tell it. */
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { api, bodyOf } from './client'
import type { components } from './schema'
import type { HealthView } from '../live/topics'
import type { Counts, FindingRow, SystemShown } from '../live/types'
import { useLive, useTopic } from '../live/useLive'
import { plainId } from '../ui/format'

export type Finding = Pick<components['schemas']['Finding'], 'code' | 'severity' | 'text' | 'since'>
export type FleetProblem = Finding & Pick<components['schemas']['Problem'], 'kind' | 'id' | 'name'>
export type Condition = components['schemas']['ConditionEnum']

export interface FleetHealth {
  state: Condition
  well: boolean
  counts: Required<Counts>
  /** The worst first. */
  problems: readonly FleetProblem[]
  /** Worth knowing, and nothing wrong. */
  notices: readonly FleetProblem[]
}

const LOOK_AGAIN = 5_000
const NO_COUNTS: Required<Counts> = {
  nodes: 0,
  healthy: 0,
  degraded: 0,
  draining: 0,
  unhealthy: 0,
  silent: 0,
  capacity: 0,
  running: 0,
  queued: 0,
}
const BADNESS = ['healthy', 'degraded', 'unhealthy', 'unknown'] as const

export function useHealth(): FleetHealth | undefined {
  const { topics, phase } = useLive()
  const view = useTopic('health')
  const system = useTopic('system', {}, topics?.includes('system') === true)
  // Who may see single nodes only is told of those by the API.
  const untold = topics === null ? phase === 'polling' : !topics.includes('health')
  const asked = useQuery({
    queryKey: ['health'],
    queryFn: async (): Promise<FleetHealth> => bodyOf(await api.GET('/api/v1/health')),
    refetchInterval: LOOK_AGAIN,
    enabled: untold && view === null,
  })
  const told = useMemo(() => (view === null ? undefined : together(view, system)), [view, system])
  return told ?? asked.data
}

/** The findings on the fleet and on the control plane, as one list. Pure. */
export function together(view: HealthView, system: SystemShown | null): FleetHealth {
  const known = new Set(view.findings.map((each) => each.code))
  const own = view.findings.map(problemOf)
  const others = (system?.findings ?? []).filter((each) => each.kind !== 'system' || !known.has(each.code))
  const found = [...others.map(problemOf), ...own].sort(
    (one, other) => SEVERITY.indexOf(one.severity) - SEVERITY.indexOf(other.severity),
  )
  const problems = found.filter((each) => each.severity !== 'notice')
  const state =
    system !== null && BADNESS.indexOf(system.state) > BADNESS.indexOf(view.state) ? system.state : view.state
  return {
    state,
    well: state === 'healthy' && problems.length === 0,
    counts: { ...NO_COUNTS, ...view.counts },
    problems,
    notices: found.filter((each) => each.severity === 'notice'),
  }
}

const SEVERITY = ['critical', 'warning', 'notice'] as const

function problemOf(row: FindingRow): FleetProblem {
  const { kind, id, name, code, severity, text, since } = row
  return { kind, id, name, code, severity, text, since: new Date(since * 1000).toISOString() }
}

/** By node id without hyphens: the problems of each node, worst first. */
export function ofNodes(health: FleetHealth | undefined): ReadonlyMap<string, readonly FleetProblem[]> {
  const found = new Map<string, FleetProblem[]>()
  for (const each of [...(health?.problems ?? []), ...(health?.notices ?? [])]) {
    if (each.kind !== 'node') continue
    const id = plainId(each.id)
    const known = found.get(id)
    if (known === undefined) found.set(id, [each])
    else known.push(each)
  }
  return found
}

export interface ProblemGroup {
  /** The first of them stands for all. */
  first: FleetProblem
  problems: readonly FleetProblem[]
}

const ALONE = 3

/** Problems that are equal for many nodes, as one each: of the same kind, code and severity. In the order of their firsts. Pure. */
export function grouped(problems: readonly FleetProblem[]): readonly ProblemGroup[] {
  const groups = new Map<string, FleetProblem[]>()
  for (const each of problems) {
    const key = `${each.kind} ${each.code} ${each.severity}`
    const known = groups.get(key)
    if (known === undefined) groups.set(key, [each])
    else known.push(each)
  }
  const told = new Set<string>()
  return problems.flatMap((each) => {
    const key = `${each.kind} ${each.code} ${each.severity}`
    const all = groups.get(key) ?? []
    if (all.length < ALONE || each.kind === 'fleet' || each.kind === 'system') {
      return [{ first: each, problems: [each] }]
    }
    if (told.has(key)) return []
    told.add(key)
    return [{ first: each, problems: all }]
  })
}

/** How something with these findings is. */
export function conditionOf(findings: readonly Pick<Finding, 'severity'>[]): Condition {
  if (findings.some((each) => each.severity === 'critical')) return 'unhealthy'
  return findings.some((each) => each.severity === 'warning') ? 'degraded' : 'healthy'
}
