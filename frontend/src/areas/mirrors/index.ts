/** Mirrors: registries elsewhere whose images are pulled here. */
import { IconBooks } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/mirrors',
    staticData: { may: 'model.view' },
    component: lazyPage('mirrors', () => import('./MirrorsPage'), 'MirrorsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/mirrors/$mirrorId',
    staticData: { may: 'model.view' },
    component: lazyPage('mirrors', () => import('./MirrorPage'), 'MirrorPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/mirrors', label: 'nav.mirrors', icon: IconBooks, section: 'fleet', order: 36, may: 'model.view' },
]
