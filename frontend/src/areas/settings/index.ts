/** Settings: the organisation's own, and for the operator those of the installation. */
import { IconSettings } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/settings',
    component: lazyPage('settings', () => import('./SettingsPage'), 'SettingsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/settings', label: 'nav.settings', icon: IconSettings, section: 'organisation', order: 70 },
]
