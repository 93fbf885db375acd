/** API keys of the tenant: list, create, revoke. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Key = components['schemas']['Key']
export type KeyCreate = components['schemas']['KeyCreate']
export type CreatedKey = components['schemas']['CreatedKey']

const KEYS = ['keys']

export interface KeysAsked {
  ordering?: '-created_at' | '-name' | 'created_at' | 'name'
  /** A part of it. */
  name?: string
  priority?: Key['priority']
  revoked?: boolean
}

export function useKeys(asked: KeysAsked = {}) {
  return usePages<Key>([...KEYS, asked], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/keys', {
        params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )
}

export function useCreateKey() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (body: KeyCreate): Promise<CreatedKey> =>
      bodyOf(await api.POST('/api/v1/keys', { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: KEYS }),
  })
}

export function useRotateKey() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async ({ id, overlap }: { id: string; overlap: number }): Promise<CreatedKey> =>
      bodyOf(
        await api.POST('/api/v1/keys/{key_id}/rotate', {
          params: { path: { key_id: id } },
          body: { overlap_seconds: overlap },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: KEYS }),
  })
}

export function useChangeReach() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async ({ id, reach }: { id: string; reach: Key['reach'] }): Promise<Key> =>
      bodyOf(await api.PATCH('/api/v1/keys/{key_id}', { params: { path: { key_id: id } }, body: { reach } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: KEYS }),
  })
}

export function useRevokeKey() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/keys/{key_id}', { params: { path: { key_id: id } } })
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: KEYS }),
  })
}
