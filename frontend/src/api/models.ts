/** Models of the tenant: what there is, and where it lies. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Model = components['schemas']['Model']
export type Replica = components['schemas']['Replica']

export interface ModelsAsked {
  name?: string
  ordering?: 'name' | '-name' | 'moved_at' | '-moved_at'
}

export function useModels(asked: ModelsAsked = {}) {
  return usePages<Model>(
    ['models', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/models', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: 10_000 },
  )
}

export function useModel(id: string) {
  return useQuery({
    queryKey: ['model', id],
    queryFn: async (): Promise<Model> =>
      bodyOf(await api.GET('/api/v1/models/{channel_id}', { params: { path: { channel_id: id } } })),
    refetchInterval: 5_000,
  })
}

/** Where the replicas of a model stand: how many are ready or loaded, and how many are meant to be. */
export function readiness(replicas: readonly Replica[]): { ready: number; wanted: number; failed: number } {
  const wanted = replicas.filter((replica) => replica.desired !== 'absent')
  return {
    ready: wanted.filter((replica) => replica.state === 'ready').length,
    wanted: wanted.length,
    failed: wanted.filter((replica) => replica.state === 'failed').length,
  }
}
