/** Where copies of a model are to be, how many there are, and transfers that are stopped and let go on. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Replication = components['schemas']['Replication']
export type CopiesOfVersion = components['schemas']['CopiesOfVersion']
export type Terms = components['schemas']['Terms']
export type Schedule = components['schemas']['ScalingSchedule']
export type ScalingDecision = components['schemas']['ScalingDecision']

export function useReplication(id: string) {
  return useQuery({
    queryKey: ['model', id, 'replication'],
    queryFn: async (): Promise<Replication> =>
      bodyOf(
        await api.GET('/api/v1/models/{channel_id}/replication', { params: { path: { channel_id: id } } }),
      ),
    refetchInterval: 5_000,
  })
}

export async function setTerms(id: string, terms: Terms): Promise<void> {
  bodyOf(
    await api.PUT('/api/v1/models/{channel_id}/replication', {
      params: { path: { channel_id: id } },
      body: terms,
    }),
  )
}

export async function dropTerms(id: string): Promise<void> {
  bodyOf(
    await api.DELETE('/api/v1/models/{channel_id}/replication', { params: { path: { channel_id: id } } }),
  )
}

export async function pauseTransfer(id: string, node: string, paused: boolean): Promise<void> {
  const given = { params: { path: { channel_id: id, node_id: node } } }
  bodyOf(
    paused
      ? await api.POST('/api/v1/models/{channel_id}/replicas/{node_id}/pause', given)
      : await api.POST('/api/v1/models/{channel_id}/replicas/{node_id}/resume', given),
  )
}
