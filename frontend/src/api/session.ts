/** Who is logged in, what they may do, logging in and out, and acting in another tenant. */
import { queryOptions, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Session = components['schemas']['Session']
export type Permission = Session['permissions'][number]

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
    /** Where the identity provider ends its own session, if somebody came by one; empty where there is nothing to do. */
    mutationFn: async (): Promise<string> => bodyOf(await api.POST('/api/v1/sso/log-out')).url,
    onSuccess: () => {
      queries.clear()
    },
  })
}

/** Whether this person may do something in the tenant that the session acts in. */
export function useMay(permission: Permission): boolean {
  return useQuery(sessionQuery).data?.permissions.includes(permission) ?? false
}

/** Act in another tenant: everything that was read belongs to the one before, and is forgotten. */
export function useEnterTenant() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (tenant: string): Promise<Session> =>
      bodyOf(await api.PUT('/api/v1/session/tenant', { body: { tenant } })),
    onSuccess: (session) => {
      queries.clear()
      queries.setQueryData(sessionQuery.queryKey, session)
    },
  })
}
