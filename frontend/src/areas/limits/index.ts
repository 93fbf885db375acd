/** Limits: how much the organisation and its keys may ask for, and what is used of it. */
import { IconGauge } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/limits',
    staticData: { may: 'key.view' },
    component: lazyPage('limits', () => import('./LimitsPage'), 'LimitsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/limits',
    label: 'nav.limits',
    icon: IconGauge,
    section: 'organisation',
    order: 50,
    may: 'key.view',
  },
]
