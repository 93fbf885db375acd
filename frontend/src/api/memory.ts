/** How much memory models need: predicted from their files, and measured where they were loaded. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Memory = components['schemas']['Memory']
export type MeasuredMemory = components['schemas']['MeasuredMemory']
export type NodeMeasuredMemory = components['schemas']['NodeMeasuredMemory']

export function useModelMemory(id: string) {
  return useQuery({
    queryKey: ['model', id, 'memory'],
    queryFn: async (): Promise<Memory> =>
      bodyOf(await api.GET('/api/v1/models/{channel_id}/memory', { params: { path: { channel_id: id } } })),
    refetchInterval: 15_000,
  })
}

export function useNodeMemory(id: string) {
  return useQuery({
    queryKey: ['node', id, 'memory'],
    queryFn: async (): Promise<NodeMeasuredMemory[]> =>
      bodyOf(await api.GET('/api/v1/nodes/{node_id}/memory', { params: { path: { node_id: id } } })),
    refetchInterval: 15_000,
  })
}
