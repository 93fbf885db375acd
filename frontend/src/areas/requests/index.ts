/** Requests: the list of them, and each with its way through the fleet. */
import { IconArrowsRightLeft } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/requests',
    staticData: { may: 'usage.view' },
    component: lazyPage('requests', () => import('./RequestsPage'), 'RequestsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/requests/$id',
    staticData: { may: 'usage.view' },
    component: lazyPage('requests', () => import('./RequestPage'), 'RequestPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/requests',
    label: 'nav.requests',
    icon: IconArrowsRightLeft,
    section: 'traffic',
    order: 10,
    may: 'usage.view',
  },
]
