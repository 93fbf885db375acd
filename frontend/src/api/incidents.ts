/** Incidents: what broke, from its beginning to its end. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Incident = components['schemas']['Incident']
export type IncidentDetail = components['schemas']['IncidentDetail']

export interface IncidentsAsked {
  ordering?: 'opened_at' | '-opened_at'
  name?: string
  state?: 'open' | 'closed'
  severity?: 'critical' | 'warning'
}

/** Live events say when a list is old; this is for where none come. */
const SLOWLY = 15_000

export function useIncidents(asked: IncidentsAsked) {
  return usePages<Incident>(
    ['incidents', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/incidents', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: SLOWLY },
  )
}

export function useIncident(id: string) {
  return useQuery({
    queryKey: ['incidents', 'one', id],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/incidents/{incident_id}', { params: { path: { incident_id: id } } })),
    refetchInterval: SLOWLY,
  })
}

export function useAcknowledge() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.POST('/api/v1/incidents/{incident_id}/acknowledge', { params: { path: { incident_id: id } } })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['incidents'] }),
  })
}

export function useSilence() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async ({ id, seconds }: { id: string; seconds: number }) => {
      await api.POST('/api/v1/incidents/{incident_id}/silence', {
        params: { path: { incident_id: id } },
        body: { seconds },
      })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['incidents'] }),
  })
}

/** Set the node aside until it is well. */
export function useRecover() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.POST('/api/v1/incidents/{incident_id}/recovery', { params: { path: { incident_id: id } } })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['incidents'] }),
  })
}

export function useStopRecovery() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/incidents/{incident_id}/recovery', { params: { path: { incident_id: id } } })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['incidents'] }),
  })
}
