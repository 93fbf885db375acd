/** Single sign-on: the tenant's identity providers, what their people get, and whether it is required. */
import { IconFingerprint } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/single-sign-on',
    staticData: { may: 'sso.view' },
    component: lazyPage('sso', () => import('./SingleSignOnPage'), 'SingleSignOnPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/single-sign-on/$id',
    staticData: { may: 'sso.view' },
    validateSearch: (search: Record<string, unknown>): { tab?: string } =>
      typeof search.tab === 'string' ? { tab: search.tab } : {},
    component: lazyPage('sso', () => import('./ProviderPage'), 'ProviderPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/single-sign-on',
    label: 'nav.sso',
    icon: IconFingerprint,
    section: 'organisation',
    order: 30,
    may: 'sso.view',
  },
]
