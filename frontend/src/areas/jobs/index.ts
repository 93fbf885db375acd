/** Jobs: what pulls, pushes, makes and deletes models. */
import { IconListCheck } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/jobs',
    staticData: { may: 'model.view' },
    component: lazyPage('jobs', () => import('./JobsPage'), 'JobsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/jobs', label: 'nav.jobs', icon: IconListCheck, section: 'fleet', order: 40, may: 'model.view' },
]
