/** Jobs: what pulls, pushes, makes, imports and deletes models. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Job = components['schemas']['Job']
export type JobState = components['schemas']['JobStateEnum']
export type JobKind = components['schemas']['JobKindEnum']

export interface JobsAsked {
  ordering?: 'created_at' | '-created_at'
  model?: string
  state?: string
  kind?: string
}

/** Live events say when a list is old; this is for where none come. */
const SLOWLY = 15_000

export function useJobs(asked: JobsAsked = {}) {
  return usePages<Job>(
    ['jobs', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/jobs', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: SLOWLY },
  )
}

/** One, followed until it is over. */
export function useJob(id: string) {
  return useQuery({
    queryKey: ['jobs', 'one', id],
    queryFn: async (): Promise<Job> =>
      bodyOf(await api.GET('/api/v1/jobs/{job_id}', { params: { path: { job_id: id } } })),
    refetchInterval: ({ state }) => (state.data === undefined || isOpen(state.data) ? 1_000 : false),
  })
}

export function useCancelJob() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/jobs/{job_id}', { params: { path: { job_id: id } } })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['jobs'] }),
  })
}

/** Try again what failed or was cancelled. */
export function useRetryJob() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string): Promise<Job> =>
      bodyOf(await api.POST('/api/v1/jobs/{job_id}/retry', { params: { path: { job_id: id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ['jobs'] }),
  })
}

export const isRetryable = (job: Job): boolean => job.state === 'failed' || job.state === 'cancelled'

/** Whether it can still be cancelled. */
export const isOpen = (job: Job): boolean => job.state === 'waiting' || job.state === 'running'
