/** One request in whatever state, and why it ran where it ran. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type RequestDetail = components['schemas']['Request']
export type Route = components['schemas']['Route']

const LOOK_AGAIN = 1_000

/** Read again each second until it has ended. */
export function useRequest(id: string) {
  return useQuery({
    queryKey: ['request', id],
    queryFn: async (): Promise<RequestDetail> =>
      bodyOf(await api.GET('/api/v1/requests/{request_id}', { params: { path: { request_id: id } } })),
    refetchInterval: (query) =>
      query.state.data?.state === 'settled' || query.state.error ? false : LOOK_AGAIN,
  })
}
