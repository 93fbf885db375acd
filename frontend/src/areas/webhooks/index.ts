/** Webhooks: addresses that are told of events. */
import { IconWebhook } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/webhooks',
    staticData: { may: 'webhook.manage' },
    component: lazyPage('webhooks', () => import('./WebhooksPage'), 'WebhooksPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/webhooks/$webhookId',
    staticData: { may: 'webhook.manage' },
    component: lazyPage('webhooks', () => import('./WebhookPage'), 'WebhookPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/webhooks',
    label: 'nav.webhooks',
    icon: IconWebhook,
    section: 'organisation',
    order: 60,
    may: 'webhook.manage',
  },
]
