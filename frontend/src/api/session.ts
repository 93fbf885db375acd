/** Who is logged in, logging in and logging out. */
import { queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Session = components['schemas']['Session']

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async (): Promise<Session> => bodyOf(await api.GET('/api/v1/session')),
  staleTime: 60_000,
})

export function useLogIn() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: { email: string; password: string }): Promise<Session> =>
      bodyOf(await api.POST('/api/v1/session', { body })),
    onSuccess: (session) => {
      queries.setQueryData(sessionQuery.queryKey, session)
    },
  })
}

export function useLogOut() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async () => {
      await api.DELETE('/api/v1/session')
    },
    onSuccess: () => {
      queries.clear()
    },
  })
}
