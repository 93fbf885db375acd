/** System: how the installation itself fares, for its operator. */
import { IconActivityHeartbeat } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/system',
    staticData: { may: 'tenant.manage' },
    component: lazyPage('system', () => import('./SystemPage'), 'SystemPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/system',
    label: 'nav.system',
    icon: IconActivityHeartbeat,
    section: 'organisation',
    order: 80,
    may: 'tenant.manage',
  },
]
