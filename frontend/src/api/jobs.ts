/** Jobs: what pulls, pushes, makes and deletes models. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
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

export function useJobs(asked: JobsAsked = {}) {
  return usePages<Job>(
    ['jobs', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/jobs', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: 2_000 },
  )
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

/** Whether it can still be cancelled. */
export const isOpen = (job: Job): boolean => job.state === 'waiting' || job.state === 'running'

/** Bytes of all parts that are known: done and in all; `null` while none is known. Pure. */
export function progressOf(job: Pick<Job, 'progress'>): { done: number; total: number } | null {
  const parts = job.progress.filter((part) => part.total !== undefined && part.total > 0)
  if (parts.length === 0) return null
  return {
    done: parts.reduce((sum, part) => sum + Math.min(part.completed ?? 0, part.total ?? 0), 0),
    total: parts.reduce((sum, part) => sum + (part.total ?? 0), 0),
  }
}
