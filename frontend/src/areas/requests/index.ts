/** Requests: each with its way through the fleet. */
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/requests/$id',
    component: lazyPage('requests', () => import('./RequestPage'), 'RequestPage'),
  }),
] as const

export const entries: readonly Entry[] = []
