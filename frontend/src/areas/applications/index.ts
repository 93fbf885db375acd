/** Applications: front ends whose people log in here. */
import { IconAppWindow } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/applications',
    staticData: { may: 'sso.view' },
    component: lazyPage('applications', () => import('./ApplicationsPage'), 'ApplicationsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/applications',
    label: 'nav.applications',
    icon: IconAppWindow,
    section: 'organisation',
    order: 35,
    may: 'sso.view',
  },
]
