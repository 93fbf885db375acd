/** What is done when a node is likely to fail, by detector. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Detector = components['schemas']['Detector']
export type Act = Detector['act']

export function usePredictions() {
  return useQuery({
    queryKey: ['predictions'],
    queryFn: async () => bodyOf(await api.GET('/api/v1/predictions')),
  })
}

export function useChangePredictions() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (acts: Record<string, Act>) => {
      await api.PATCH('/api/v1/predictions', { body: { acts } })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['predictions'] }),
  })
}
