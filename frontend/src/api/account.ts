/** One's own account: the password, and where one is logged in. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type UserSession = components['schemas']['UserSession']

const SESSIONS = ['account', 'sessions']

export function useSessions() {
  return useQuery({
    queryKey: SESSIONS,
    queryFn: async () => bodyOf(await api.GET('/api/v1/account/sessions')).results,
  })
}

/** While it is under way the session gets another id: what speaks by the one before is told that it is over. */
export const CHANGE_PASSWORD = ['change-password']

export function useChangePassword() {
  const queries = useQueryClient()
  return useMutation({
    mutationKey: CHANGE_PASSWORD,
    mutationFn: async (body: { current: string; new: string }) => {
      await api.PUT('/api/v1/account/password', { body })
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: SESSIONS }),
  })
}

export function useEndSession() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/account/sessions/{session_id}', { params: { path: { session_id: id } } })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: SESSIONS }),
  })
}

export function useEndOtherSessions() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async () => {
      await api.DELETE('/api/v1/account/other-sessions')
    },
    onSettled: () => queries.invalidateQueries({ queryKey: SESSIONS }),
  })
}

/** Browser and system of a `User-Agent`, as a person calls them; the text itself where they are not known. Pure. */
export function browserOf(agent: string): string {
  const browser = [
    ['Edg/', 'Edge'],
    ['OPR/', 'Opera'],
    ['Firefox/', 'Firefox'],
    ['Chrome/', 'Chrome'],
    ['Safari/', 'Safari'],
    ['curl/', 'curl'],
  ].find(([mark]) => agent.includes(mark ?? ''))?.[1]
  const system = [
    ['Windows', 'Windows'],
    ['Android', 'Android'],
    ['iPhone', 'iOS'],
    ['iPad', 'iPadOS'],
    ['Mac OS X', 'macOS'],
    ['CrOS', 'ChromeOS'],
    ['Linux', 'Linux'],
  ].find(([mark]) => agent.includes(mark ?? ''))?.[1]
  return [browser, system].filter((each) => each !== undefined).join(' · ') || agent
}
