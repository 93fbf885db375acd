/** Chaos experiments: nodes that opted in suffer a fault, and what was expected is compared with what was measured. */
import { IconFlask } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/experiments',
    staticData: { may: 'node.view' },
    component: lazyPage('experiments', () => import('./ExperimentsPage'), 'ExperimentsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/experiments/$experimentId',
    staticData: { may: 'node.view' },
    component: lazyPage('experiments', () => import('./ExperimentPage'), 'ExperimentPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/experiments',
    label: 'nav.experiments',
    icon: IconFlask,
    section: 'fleet',
    order: 16,
    may: 'node.view',
  },
]
