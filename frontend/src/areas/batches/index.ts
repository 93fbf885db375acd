/** Batches and their files: many requests in one file, answered on idle capacity. */
import { IconStack2 } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/batches',
    staticData: { may: 'inference.use' },
    component: lazyPage('batches', () => import('./BatchesPage'), 'BatchesPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/batches', label: 'nav.batches', icon: IconStack2, section: 'use', order: 40, may: 'inference.use' },
]
