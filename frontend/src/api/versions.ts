/** Versions of a model, their stages, and where its channels pointed. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Release = components['schemas']['Release']
export type Stage = NonNullable<Release['stage']>
export type ChannelMove = components['schemas']['ChannelMove']

/** The versions of the model that has this channel, the newest first. */
export function useReleases(id: string) {
  return usePages<Release>(
    ['model', id, 'versions'],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/models/{channel_id}/versions', {
          params: {
            path: { channel_id: id },
            query: { limit: 50, ...(cursor === undefined ? {} : { cursor }) },
          },
        }),
      ),
    { refetchInterval: 10_000 },
  )
}

/** The last moves of one channel, the newest first. */
export function useMoves(id: string, channel: string) {
  return useQuery({
    queryKey: ['model', id, 'moves'],
    queryFn: async (): Promise<readonly ChannelMove[]> =>
      bodyOf(
        await api.GET('/api/v1/models/{channel_id}/moves', {
          params: { path: { channel_id: id }, query: { limit: 20, channel } },
        }),
      ).results,
    refetchInterval: 10_000,
  })
}

export async function moveChannel(id: string, version: string): Promise<void> {
  bodyOf(
    await api.POST('/api/v1/models/{channel_id}/moves', {
      params: { path: { channel_id: id } },
      body: { version, reason: '' },
    }),
  )
}

export async function rollBack(id: string): Promise<void> {
  bodyOf(
    await api.POST('/api/v1/models/{channel_id}/rollback', {
      params: { path: { channel_id: id } },
      body: { reason: '' },
    }),
  )
}

export async function changeStage(id: string, stage: Stage): Promise<Release> {
  return bodyOf(
    await api.PATCH('/api/v1/versions/{release_id}', {
      params: { path: { release_id: id } },
      body: { stage, reason: '' },
    }),
  )
}

export async function approvePromotion(id: string): Promise<void> {
  bodyOf(
    await api.POST('/api/v1/promotions/{promotion_id}/approve', { params: { path: { promotion_id: id } } }),
  )
}
