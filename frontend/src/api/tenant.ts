/** The tenant that the session acts in, and what it may change of itself. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Tenant = components['schemas']['TenantDetail']
export type OwnTenantChange = components['schemas']['PatchedOwnTenantChange']

const TENANT = ['tenant']

export function useTenant() {
  return useQuery({ queryKey: TENANT, queryFn: async () => bodyOf(await api.GET('/api/v1/tenant')) })
}

export function useChangeTenant() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: OwnTenantChange) => bodyOf(await api.PATCH('/api/v1/tenant', { body })),
    onSuccess: async (tenant) => {
      queries.setQueryData(TENANT, tenant)
      await queries.invalidateQueries({ queryKey: ['session'] })
    },
  })
}
