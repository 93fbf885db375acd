/** Usage: what was asked, of what, by whom, and what it cost. */
import { IconChartBar } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/usage',
    staticData: { may: 'usage.view' },
    component: lazyPage('usage', () => import('./UsagePage'), 'UsagePage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/usage', label: 'nav.usage', icon: IconChartBar, section: 'traffic', order: 30, may: 'usage.view' },
]
