/** Every tenant of the installation, for its operator. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type TenantDetail = components['schemas']['TenantDetail']
type Change = components['schemas']['PatchedTenantChange']

const one = (id: string) => ({ path: { tenant_id: id } })

export function useTenants() {
  return usePages<TenantDetail>(['tenants'], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/tenants', {
        params: { query: { limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )
}

export function useTenantActs() {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: ['tenants'] })
  return {
    create: useMutation({
      mutationFn: async (body: { slug: string; name: string }) =>
        bodyOf(await api.POST('/api/v1/tenants', { body })),
      onSettled,
    }),
    change: useMutation({
      mutationFn: async ({ id, ...body }: { id: string } & Change) =>
        bodyOf(await api.PATCH('/api/v1/tenants/{tenant_id}', { params: one(id), body })),
      onSettled,
    }),
    setSuspended: useMutation({
      mutationFn: async ({ id, suspended }: { id: string; suspended: boolean }) => {
        await api.POST(
          suspended ? '/api/v1/tenants/{tenant_id}/suspend' : '/api/v1/tenants/{tenant_id}/resume',
          {
            params: one(id),
          },
        )
      },
      onSettled,
    }),
  }
}
