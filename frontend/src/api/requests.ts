/** Requests: those that are over, those that run, one in whatever state; cancelling one, and moving one in the queue. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components, paths } from './schema'

export type RequestDetail = components['schemas']['Request']
export type EndedRequest = components['schemas']['EndedRequest']
export type RunningRequest = components['schemas']['Running']
export type KeptPrompt = components['schemas']['KeptPrompt']
export type PromptPart = components['schemas']['PromptPart']
export type Step = components['schemas']['Step']
export type Route = components['schemas']['Route']
export type Queue = components['schemas']['Queue']
export type WaitingRequest = components['schemas']['Waiting']
export type RequestQuery = NonNullable<paths['/api/v1/requests']['get']['parameters']['query']>

const LOOK_AGAIN = 1_000
const LIST_AGAIN = 5_000

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

/** Those that are over, the newest first. `span` is in hours, counted back from each reading. */
export function useEndedRequests(query: RequestQuery, span: number | null) {
  return usePages(
    ['requests', query, span],
    async (cursor) => {
      const since = span === null ? {} : { since: new Date(Date.now() - span * 3_600_000).toISOString() }
      const asked = { ...since, ...query, ...(cursor === undefined ? {} : { cursor }) }
      return bodyOf(await api.GET('/api/v1/requests', { params: { query: asked } }))
    },
    { refetchInterval: LIST_AGAIN },
  )
}

export function useRunningRequests() {
  return useQuery({
    queryKey: ['requests-running'],
    queryFn: async (): Promise<RunningRequest[]> => bodyOf(await api.GET('/api/v1/requests/running')).results,
    refetchInterval: LOOK_AGAIN,
  })
}

export function useQueue() {
  return useQuery({
    queryKey: ['queue'],
    queryFn: async (): Promise<Queue> => bodyOf(await api.GET('/api/v1/queue')),
    refetchInterval: LOOK_AGAIN,
  })
}

/** Each reading is in the audit trail: it happens when somebody asks for it, and is not repeated or kept. */
export function useReadPrompt() {
  return useMutation({
    gcTime: 0,
    mutationFn: async (request: string): Promise<KeptPrompt> =>
      bodyOf(await api.GET('/api/v1/prompts/{request_id}', { params: { path: { request_id: request } } })),
  })
}

function useAgain() {
  const queries = useQueryClient()
  return () =>
    Promise.all(
      ['request', 'requests', 'requests-running', 'queue'].map((key) =>
        queries.invalidateQueries({ queryKey: [key] }),
      ),
    )
}

export function useCancelRequest() {
  return useMutation({
    mutationFn: async (id: string) => {
      await api.POST('/api/v1/requests/{request_id}/cancel', { params: { path: { request_id: id } } })
    },
    onSettled: useAgain(),
  })
}

export function usePrioritise() {
  return useMutation({
    mutationFn: async ({ id, priority }: { id: string; priority: WaitingRequest['priority'] }) => {
      await api.PATCH('/api/v1/requests/{request_id}', {
        params: { path: { request_id: id } },
        body: { priority },
      })
    },
    onSettled: useAgain(),
  })
}
