/** Every organisation of the installation, for its operator. */
import { IconBuildingCommunity } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/tenants',
    staticData: { may: 'tenant.manage' },
    component: lazyPage('tenants', () => import('./TenantsPage'), 'TenantsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/tenants',
    label: 'nav.tenants',
    icon: IconBuildingCommunity,
    section: 'organisation',
    order: 90,
    may: 'tenant.manage',
  },
]
