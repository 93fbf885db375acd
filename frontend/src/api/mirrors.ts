/** Mirrors: registries elsewhere whose images are pulled here, and what of them is kept. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Mirror = components['schemas']['Mirror']
export type MirroredTag = components['schemas']['MirroredTag']

export interface MirrorTerms {
  most_bytes: number
  check_seconds: number
}

const FRESH = { refetchInterval: 5_000 }

export function useMirrors() {
  return usePages<Mirror>(
    ['mirrors'],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/mirrors', {
          params: { query: { limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    FRESH,
  )
}

export function useMirror(id: string) {
  return useQuery({
    queryKey: ['mirrors', id],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/mirrors/{mirror_id}', { params: { path: { mirror_id: id } } })),
    ...FRESH,
  })
}

export function useMirroredTags(id: string) {
  return usePages<MirroredTag>(
    ['mirrors', id, 'tags'],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/mirrors/{mirror_id}/tags', {
          params: {
            path: { mirror_id: id },
            query: { limit: 100, ...(cursor === undefined ? {} : { cursor }) },
          },
        }),
      ),
    FRESH,
  )
}

/** What can be done with mirrors; each reads the lists anew. */
export function useMirrorActs() {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: ['mirrors'] })
  return {
    create: useMutation({
      mutationFn: async (body: MirrorTerms & { prefix: string; upstream: string }): Promise<Mirror> =>
        bodyOf(await api.POST('/api/v1/mirrors', { body })),
      onSettled,
    }),
    change: useMutation({
      mutationFn: async ({ id, ...body }: MirrorTerms & { id: string }) =>
        bodyOf(await api.PATCH('/api/v1/mirrors/{mirror_id}', { params: { path: { mirror_id: id } }, body })),
      onSettled,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/mirrors/{mirror_id}', { params: { path: { mirror_id: id } } })
      },
      onSettled,
    }),
  }
}
