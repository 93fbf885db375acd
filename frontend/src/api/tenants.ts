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
  const deletion = useTenantDeletion()
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
    ...deletion,
  }
}

/** Has a tenant deleted when its grace is over, and takes that back. Whoever is its member may act in it no more, or again. */
export function useTenantDeletion() {
  const queries = useQueryClient()
  const onSettled = async () => {
    await queries.invalidateQueries({ queryKey: ['tenants'] })
    await queries.invalidateQueries({ queryKey: ['session'] })
  }
  return {
    askDeletion: useMutation({
      mutationFn: async ({ id, slug }: { id: string; slug: string }) =>
        bodyOf(await api.POST('/api/v1/tenants/{tenant_id}/deletion', { params: one(id), body: { slug } })),
      onSettled,
    }),
    keep: useMutation({
      mutationFn: async (id: string) =>
        bodyOf(await api.DELETE('/api/v1/tenants/{tenant_id}/deletion', { params: one(id) })),
      onSettled,
    }),
  }
}

/** Everything that a tenant takes with it, handed to the browser as a file. Asked for like every other act, so that whoever asks can confirm that it is they. */
export async function saveExport({ id, slug }: { id: string; slug: string }): Promise<void> {
  const file = bodyOf(
    await api.GET('/api/v1/tenants/{tenant_id}/export', { params: one(id), parseAs: 'blob' }),
  )
  const address = URL.createObjectURL(file)
  const link = document.createElement('a')
  link.href = address
  link.download = `${slug}.zip`
  link.click()
  URL.revokeObjectURL(address)
}
