/** Who may do what: roles, teams, service accounts, and grants on single objects. */
import { IconKey, IconRobot, IconShieldCheck, IconUsersGroup } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

const may = 'member.view' as const

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/roles',
    staticData: { may },
    component: lazyPage('access', () => import('./RolesPage'), 'RolesPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/teams',
    staticData: { may },
    component: lazyPage('access', () => import('./TeamsPage'), 'TeamsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/teams/$teamId',
    staticData: { may },
    component: lazyPage('access', () => import('./TeamPage'), 'TeamPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/service-accounts',
    staticData: { may },
    component: lazyPage('access', () => import('./ServiceAccountsPage'), 'ServiceAccountsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/service-accounts/$accountId',
    staticData: { may },
    component: lazyPage('access', () => import('./ServiceAccountPage'), 'ServiceAccountPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/access',
    staticData: { may },
    component: lazyPage('access', () => import('./AccessPage'), 'AccessPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/access/members/$memberId',
    staticData: { may },
    component: lazyPage('access', () => import('./MemberAccessPage'), 'MemberAccessPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/teams', label: 'nav.teams', icon: IconUsersGroup, section: 'organisation', order: 12, may },
  { to: '/roles', label: 'nav.roles', icon: IconShieldCheck, section: 'organisation', order: 14, may },
  {
    to: '/service-accounts',
    label: 'nav.serviceAccounts',
    icon: IconRobot,
    section: 'organisation',
    order: 16,
    may,
  },
  { to: '/access', label: 'nav.access', icon: IconKey, section: 'organisation', order: 18, may },
]
