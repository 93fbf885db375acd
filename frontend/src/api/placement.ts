/** Which models should be in the memory of which nodes: the plan as it would be carried out now. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Placement = components['schemas']['Placement']
export type PlacementStep = components['schemas']['PlacementStep']
export type PlacementNode = components['schemas']['PlacementNode']
export type ScalingDecision = components['schemas']['ScalingDecision']
export type Warmth = components['schemas']['Warmth']
export type Placed = components['schemas']['Placed']

export function usePlacement() {
  return useQuery({
    queryKey: ['placement'],
    queryFn: async (): Promise<Placement> => bodyOf(await api.GET('/api/v1/placement')),
    refetchInterval: 10_000,
  })
}

/** Have the plan carried out as it was seen. */
export async function applyPlacement(plan: string): Promise<void> {
  bodyOf(await api.POST('/api/v1/placement/apply', { body: { plan } }))
}

export async function stopPlacement(): Promise<void> {
  bodyOf(await api.DELETE('/api/v1/placement/apply'))
}

/** The organisation's other terms stay as they are. */
export async function setAutomatic(automatic: boolean): Promise<void> {
  const terms = bodyOf(await api.GET('/api/v1/replication'))
  bodyOf(await api.PUT('/api/v1/replication', { body: { ...terms, automatic } }))
}

/** Likewise. */
export async function setKeepWarm(keep_warm: boolean): Promise<void> {
  const terms = bodyOf(await api.GET('/api/v1/replication'))
  bodyOf(await api.PUT('/api/v1/replication', { body: { ...terms, keep_warm } }))
}
