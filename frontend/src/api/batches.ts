/** Batches and their files: lists by the management API; bytes by `/v1/files`, with the page's token of some minutes. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { plainId } from '../ui/format'
import { keepBlob } from '../ui/table/csv'
import { api, bodyOf, Problem } from './client'
import { errorIn } from './openai'
import { usePages } from './pages'
import { forgetToken, pageToken } from './playground'
import type { components } from './schema'

export type Batch = components['schemas']['Batch']
export type BatchFile = components['schemas']['File']
export type BatchCreate = components['schemas']['BatchCreate']
export type BatchStatus = NonNullable<Batch['status']>

export const ENDPOINTS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
] as const

export interface BatchesAsked {
  ordering: 'created_at' | '-created_at'
  status?: BatchStatus
}

export function useBatches(asked: BatchesAsked) {
  return usePages<Batch>(
    ['batches', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/batches', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: 2_000 },
  )
}

export interface FilesAsked {
  ordering: 'created_at' | '-created_at' | 'name' | '-name' | 'size' | '-size'
  name?: string
  purpose?: BatchFile['purpose']
}

export function useFiles(asked: FilesAsked) {
  return usePages<BatchFile>(['files', asked], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/files', {
        params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )
}

function useRefresh() {
  const queries = useQueryClient()
  return () =>
    Promise.all([
      queries.invalidateQueries({ queryKey: ['batches'] }),
      queries.invalidateQueries({ queryKey: ['files'] }),
    ])
}

export function useCreateBatch() {
  return useMutation({
    mutationFn: async (body: BatchCreate) => bodyOf(await api.POST('/api/v1/batches', { body })),
    onSettled: useRefresh(),
  })
}

export function useCancelBatch() {
  return useMutation({
    mutationFn: async (id: string) => {
      await api.POST('/api/v1/batches/{batch_id}/cancel', { params: { path: { batch_id: id } } })
    },
    onSettled: useRefresh(),
  })
}

export function useUpload() {
  return useMutation({
    mutationFn: async (file: File): Promise<void> => {
      const form = new FormData()
      form.append('purpose', 'batch')
      form.append('file', file)
      await asked('/v1/files', { method: 'POST', body: form })
    },
    onSettled: useRefresh(),
  })
}

export function useDeleteFile() {
  return useMutation({
    mutationFn: async (id: string): Promise<void> => {
      await asked(`/v1/files/file-${plainId(id)}`, { method: 'DELETE' })
    },
    onSettled: useRefresh(),
  })
}

/** Gives the browser the file to keep. */
export async function keepFile(id: string, name: string): Promise<void> {
  const answer = await asked(`/v1/files/file-${plainId(id)}/content`)
  keepBlob(name, await answer.blob())
}

async function asked(address: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(address, {
    ...init,
    headers: { Authorization: `Bearer ${await pageToken()}` },
    credentials: 'omit',
  })
  if (answer.ok) return answer
  if (answer.status === 401) forgetToken()
  throw new Problem(answer.status, 'refused', await errorIn(answer))
}

/** Whether it can still be cancelled. */
export const isOpen = (batch: Batch): boolean =>
  batch.status === 'validating' || batch.status === 'in_progress'
