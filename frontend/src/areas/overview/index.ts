/** The overview: whether all is well, and what is measured now. */
import { IconLayoutDashboard } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/',
    component: lazyPage(['overview', 'requests'], () => import('./OverviewPage'), 'OverviewPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/', label: 'nav.overview', icon: IconLayoutDashboard, section: 'fleet', order: 10 },
]
