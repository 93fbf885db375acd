/** Which models should be in the memory of which nodes: the plan as it would be carried out now. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Placement = components['schemas']['Placement']
export type PlacementStep = components['schemas']['PlacementStep']
export type PlacementNode = components['schemas']['PlacementNode']
export type Placed = components['schemas']['Placed']

export function usePlacement() {
  return useQuery({
    queryKey: ['placement'],
    queryFn: async (): Promise<Placement> => bodyOf(await api.GET('/api/v1/placement')),
    refetchInterval: 10_000,
  })
}
