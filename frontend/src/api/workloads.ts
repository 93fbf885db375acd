/** Programs elsewhere that a service account trusts by their issuers' word. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Workload = components['schemas']['Workload']
export type WorkloadCreate = components['schemas']['WorkloadCreate']

const WORKLOADS = ['workloads']

/** Those that act as the service account with this user. */
export function useWorkloadsOf(user: string) {
  return usePages<Workload>([...WORKLOADS, user], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/workloads', {
        params: { query: { limit: 100, created_by: user, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )
}

export function useWorkloadActs() {
  const queries = useQueryClient()
  const onSuccess = () => queries.invalidateQueries({ queryKey: WORKLOADS })
  return {
    create: useMutation({
      mutationFn: async (body: WorkloadCreate): Promise<Workload> =>
        bodyOf(await api.POST('/api/v1/workloads', { body })),
      onSuccess,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/workloads/{workload_id}', { params: { path: { workload_id: id } } })
      },
      onSuccess,
    }),
  }
}
