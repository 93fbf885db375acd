/** Audit: who did what to what. */
import { IconClipboardList } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/audit',
    staticData: { may: 'audit.view' },
    component: lazyPage('audit', () => import('./AuditPage'), 'AuditPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/audit/keeping',
    staticData: { may: 'audit.view' },
    component: lazyPage('audit', () => import('./KeepingPage'), 'KeepingPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/audit/$chain/$seq',
    staticData: { may: 'audit.view' },
    component: lazyPage('audit', () => import('./RecordPage'), 'RecordPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/audit',
    label: 'nav.audit',
    icon: IconClipboardList,
    section: 'organisation',
    order: 60,
    may: 'audit.view',
  },
]
