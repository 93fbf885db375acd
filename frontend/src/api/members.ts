/** Members of the tenant, and invitations to become one. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'
import { sessionQuery } from './session'

export type Member = components['schemas']['Member']
export type Invitation = components['schemas']['Invitation']
export type CreatedInvitation = components['schemas']['CreatedInvitation']

export interface InvitationValues {
  email: string
  role: string
  days: number
  send: boolean
  language: 'en' | 'de'
}

const page = (cursor: string | undefined) => ({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })

export function useMembers() {
  return usePages<Member>(['members'], async (cursor) =>
    bodyOf(await api.GET('/api/v1/members', { params: { query: page(cursor) } })),
  )
}

export function useInvitations(enabled: boolean) {
  return usePages<Invitation>(
    ['invitations'],
    async (cursor) => bodyOf(await api.GET('/api/v1/invitations', { params: { query: page(cursor) } })),
    { enabled },
  )
}

/** The roles that a member can be given, by slug. */
export function useRoleChoices() {
  return useQuery({
    queryKey: ['role-choices'],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/roles', { params: { query: { limit: 200 } } })).results.map((role) => ({
        value: role.slug,
        label: role.name,
      })),
  })
}

export function useMemberActs() {
  const queries = useQueryClient()
  const onSettled = async () => {
    await queries.invalidateQueries({ queryKey: ['members'] })
    await queries.invalidateQueries({ queryKey: ['invitations'] })
  }
  return {
    change: useMutation({
      mutationFn: async ({ id, ...body }: { id: string; role?: string; state?: 'active' | 'suspended' }) =>
        bodyOf(
          await api.PATCH('/api/v1/members/{membership_id}', {
            params: { path: { membership_id: id } },
            body,
          }),
        ),
      onSettled,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/members/{membership_id}', { params: { path: { membership_id: id } } })
      },
      onSettled,
    }),
    invite: useMutation({
      mutationFn: async (body: InvitationValues): Promise<CreatedInvitation> =>
        bodyOf(await api.POST('/api/v1/invitations', { body })),
      onSettled,
    }),
    revoke: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/invitations/{invitation_id}', { params: { path: { invitation_id: id } } })
      },
      onSettled,
    }),
  }
}

/** What a link's token is for. */
export function useOpenInvitation(token: string) {
  return useQuery({
    queryKey: ['invitation', token],
    queryFn: async () => bodyOf(await api.POST('/api/v1/invitations/open', { body: { token } })),
    retry: false,
    staleTime: Infinity,
  })
}

/** Becomes a member; whoever was not logged in is, then. What was read belongs to the tenant before, and is forgotten. */
export function useAcceptInvitation() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: { token: string; name?: string; password?: string }) =>
      bodyOf(await api.POST('/api/v1/invitations/accept', { body })),
    onSuccess: (session) => {
      queries.clear()
      queries.setQueryData(sessionQuery.queryKey, session)
    },
  })
}

export const askForReset = async (email: string, language: 'en' | 'de'): Promise<void> => {
  await api.POST('/api/v1/account/reset', { body: { email, language } })
}

export const resetPassword = async (token: string, password: string): Promise<void> => {
  await api.POST('/api/v1/account/reset/password', { body: { token, password } })
}
