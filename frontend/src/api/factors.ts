/** One's own second factors, and what the tenant asks of its members. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { madePasskey } from './proof'
import type { components } from './schema'
import { sessionQuery } from './session'

export type Factors = components['schemas']['Factors']
export type NewAuthenticator = components['schemas']['NewAuthenticator']
export type FactorKind = 'authenticators' | 'passkeys'

const FACTORS = ['account', 'factors']
const POLICY = ['tenant', 'sign-in']

export function useFactors() {
  return useQuery({
    queryKey: FACTORS,
    queryFn: async () => bodyOf(await api.GET('/api/v1/account/factors')),
  })
}

function useChange<Given, Answer>(send: (given: Given) => Promise<Answer>) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: send,
    onSettled: async () => {
      await queries.invalidateQueries({ queryKey: FACTORS })
      // A tenant that asked for a factor may let one in now.
      await queries.invalidateQueries({ queryKey: sessionQuery.queryKey })
    },
  })
}

export function useBeginAuthenticator() {
  return useMutation({
    mutationFn: async () => bodyOf(await api.POST('/api/v1/account/authenticators')),
  })
}

export function useConfirmAuthenticator() {
  return useChange(
    async ({ id, ...body }: { id: string; code: string; name: string }) =>
      bodyOf(
        await api.POST('/api/v1/account/authenticators/{factor_id}/confirm', {
          params: { path: { factor_id: id } },
          body,
        }),
      ).codes,
  )
}

export function useAddPasskey() {
  return useChange(async (name: string) => {
    const credential = await madePasskey(bodyOf(await api.POST('/api/v1/account/passkeys/options')))
    return bodyOf(await api.POST('/api/v1/account/passkeys', { body: { credential, name } })).codes
  })
}

export function useRemoveFactor() {
  return useChange(async ({ kind, id }: { kind: FactorKind; id: string }) => {
    await api.DELETE(`/api/v1/account/${kind}/{factor_id}`, { params: { path: { factor_id: id } } })
  })
}

export function useRenameFactor() {
  return useChange(async ({ kind, id, name }: { kind: FactorKind; id: string; name: string }) => {
    await api.PATCH(`/api/v1/account/${kind}/{factor_id}`, {
      params: { path: { factor_id: id } },
      body: { name },
    })
  })
}

export function useRecoveryCodes() {
  return useChange(async () => bodyOf(await api.POST('/api/v1/account/recovery-codes')).codes)
}

export function useSignInPolicy() {
  return useQuery({ queryKey: POLICY, queryFn: async () => bodyOf(await api.GET('/api/v1/tenant/sign-in')) })
}

export function useChangeSignInPolicy() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: components['schemas']['PatchedSignInPolicyChange']) =>
      bodyOf(await api.PATCH('/api/v1/tenant/sign-in', { body })),
    onSuccess: (policy) => {
      queries.setQueryData(POLICY, policy)
      void queries.invalidateQueries({ queryKey: sessionQuery.queryKey })
    },
  })
}
