/** How much the tenant and its keys may ask for, and how much of that is used at this moment. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type TenantLimits = components['schemas']['TenantLimits']
export type KeyLimits = components['schemas']['KeyLimits']
export type Limits = components['schemas']['Limits']
export type LimitName = keyof Limits

/** Those of which something is used at any moment. */
export const USED_NAMES = [
  'requests_per_minute',
  'tokens_per_minute',
  'input_tokens_per_minute',
  'output_tokens_per_minute',
  'concurrent_requests',
] as const
export const LIMIT_NAMES = [...USED_NAMES, 'context_tokens', 'output_tokens'] as const

const LIMITS = ['limits']

export function useTenantLimits() {
  return useQuery({
    queryKey: [...LIMITS, 'tenant'],
    queryFn: async () => bodyOf(await api.GET('/api/v1/limits')),
    refetchInterval: 5_000,
  })
}

export interface KeyLimitsAsked {
  ordering: 'name' | '-name' | 'created_at' | '-created_at'
  name?: string
}

export function useKeyLimits(asked: KeyLimitsAsked) {
  return usePages<KeyLimits>(
    [...LIMITS, 'keys', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/limits/keys', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: 5_000 },
  )
}

export function useSetKeyLimits() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async ({
      id,
      limits,
      priority,
    }: {
      id: string
      limits: Limits
      priority: KeyLimits['priority']
    }) =>
      bodyOf(
        await api.PATCH('/api/v1/keys/{key_id}', {
          params: { path: { key_id: id } },
          body: { limits, priority },
        }),
      ),
    onSuccess: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: LIMITS }),
        queries.invalidateQueries({ queryKey: ['keys'] }),
      ]),
  })
}

/** For the operator: of any tenant, their own too. */
export function useSetTenantLimits() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async ({ id, limits, weight }: { id: string; limits: Limits; weight: number }) =>
      bodyOf(
        await api.PATCH('/api/v1/tenants/{tenant_id}', {
          params: { path: { tenant_id: id } },
          body: { limits, weight },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: LIMITS }),
  })
}
