/** Members of the tenant, and who is invited to become one. */
import { IconUsers } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/members',
    staticData: { may: 'member.view' },
    component: lazyPage('members', () => import('./MembersPage'), 'MembersPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/members',
    label: 'nav.members',
    icon: IconUsers,
    section: 'organisation',
    order: 10,
    may: 'member.view',
  },
]
