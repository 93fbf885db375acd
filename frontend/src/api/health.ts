/** How well the fleet is, as the control plane judged it. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'
import { plainId } from '../ui/format'

export type FleetHealth = components['schemas']['FleetHealth']
export type FleetProblem = components['schemas']['Problem']
export type Finding = components['schemas']['Finding']
export type Condition = components['schemas']['ConditionEnum']

const LOOK_AGAIN = 5_000

export function useHealth() {
  return useQuery({
    queryKey: ['health'],
    queryFn: async (): Promise<FleetHealth> => bodyOf(await api.GET('/api/v1/health')),
    refetchInterval: LOOK_AGAIN,
  })
}

/** By node id without hyphens: the problems of each node, worst first. */
export function ofNodes(health: FleetHealth | undefined): ReadonlyMap<string, readonly FleetProblem[]> {
  const found = new Map<string, FleetProblem[]>()
  for (const each of [...(health?.problems ?? []), ...(health?.notices ?? [])]) {
    if (each.kind !== 'node') continue
    const id = plainId(each.id)
    found.set(id, [...(found.get(id) ?? []), each])
  }
  return found
}

/** How something with these findings is. */
export function conditionOf(findings: readonly Pick<Finding, 'severity'>[]): Condition {
  if (findings.some((each) => each.severity === 'critical')) return 'unhealthy'
  return findings.some((each) => each.severity === 'warning') ? 'degraded' : 'healthy'
}
