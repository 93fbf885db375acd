/** API keys: what programs authenticate with. */
import { IconKey } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/keys',
    staticData: { may: 'key.view' },
    component: lazyPage('keys', () => import('./KeysPage'), 'KeysPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/keys', label: 'nav.keys', icon: IconKey, section: 'use', order: 30, may: 'key.view' },
]
