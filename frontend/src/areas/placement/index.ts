/** Placement: which models should be in the memory of which nodes. */
import { IconLayoutGrid } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/placement',
    staticData: { may: 'node.manage' },
    component: lazyPage('placement', () => import('./PlacementPage'), 'PlacementPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/placement',
    label: 'nav.placement',
    icon: IconLayoutGrid,
    section: 'fleet',
    order: 35,
    may: 'node.manage',
  },
]
