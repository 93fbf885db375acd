/** Models: what there is, and where it lies. */
import { IconCube } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/models',
    staticData: { may: 'model.view' },
    component: lazyPage('models', () => import('./ModelsPage'), 'ModelsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/models/$id',
    staticData: { may: 'model.view' },
    component: lazyPage(['models', 'evaluations'], () => import('./ModelPage'), 'ModelPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/models', label: 'nav.models', icon: IconCube, section: 'fleet', order: 30, may: 'model.view' },
]
