/** Webhooks: addresses that are told of events, and the log of what was sent to them. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Webhook = components['schemas']['Webhook']
export type CreatedWebhook = components['schemas']['CreatedWebhook']
export type Delivery = components['schemas']['WebhookDelivery']
export type DeliveryState = components['schemas']['WebhookDeliveryStateEnum']

export interface WebhookValues {
  url: string
  events: string[]
  description: string
}

const one = (id: string) => ({ path: { webhook_id: id } })
const FRESH = { refetchInterval: 5_000 }

export function useWebhooks() {
  return usePages<Webhook>(
    ['webhooks'],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/webhooks', {
          params: { query: { limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    FRESH,
  )
}

export function useWebhook(id: string) {
  return useQuery({
    queryKey: ['webhooks', id],
    queryFn: async () => bodyOf(await api.GET('/api/v1/webhooks/{webhook_id}', { params: one(id) })),
    ...FRESH,
  })
}

export function useWebhookEvents() {
  return useQuery({
    queryKey: ['webhook-events'],
    queryFn: async () => bodyOf(await api.GET('/api/v1/webhooks/events')).groups,
    staleTime: Infinity,
  })
}

export function useDeliveries(id: string, state: DeliveryState | undefined) {
  return usePages<Delivery>(
    ['webhooks', id, 'deliveries', state],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/webhooks/{webhook_id}/deliveries', {
          params: {
            ...one(id),
            query: {
              limit: 50,
              ordering: '-created_at',
              ...(state === undefined ? {} : { state }),
              ...(cursor === undefined ? {} : { cursor }),
            },
          },
        }),
      ),
    FRESH,
  )
}

export function useDelivery(webhook: string, delivery: string) {
  return useQuery({
    queryKey: ['webhooks', webhook, 'delivery', delivery],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}', {
          params: { path: { webhook_id: webhook, delivery_id: delivery } },
        }),
      ),
    ...FRESH,
  })
}

/** What can be done with webhooks; each reads the lists anew. */
export function useWebhookActs() {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: ['webhooks'] })
  return {
    create: useMutation({
      mutationFn: async (body: WebhookValues): Promise<CreatedWebhook> =>
        bodyOf(await api.POST('/api/v1/webhooks', { body })),
      onSettled,
    }),
    change: useMutation({
      mutationFn: async ({ id, ...body }: { id: string } & Partial<WebhookValues> & { enabled?: boolean }) =>
        bodyOf(await api.PATCH('/api/v1/webhooks/{webhook_id}', { params: one(id), body })),
      onSettled,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/webhooks/{webhook_id}', { params: one(id) })
      },
      onSettled,
    }),
    rotate: useMutation({
      mutationFn: async ({ id, overlap }: { id: string; overlap: number }): Promise<CreatedWebhook> =>
        bodyOf(
          await api.POST('/api/v1/webhooks/{webhook_id}/rotate', {
            params: one(id),
            body: { overlap_seconds: overlap },
          }),
        ),
      onSettled,
    }),
    test: useMutation({
      mutationFn: async (id: string) => {
        await api.POST('/api/v1/webhooks/{webhook_id}/test', { params: one(id) })
      },
      onSettled,
    }),
    redeliver: useMutation({
      mutationFn: async ({ webhook, delivery }: { webhook: string; delivery: string }) => {
        await api.POST('/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver', {
          params: { path: { webhook_id: webhook, delivery_id: delivery } },
        })
      },
      onSettled,
    }),
  }
}
