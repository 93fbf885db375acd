/** The queue: who waits for a free slot, and how the slots are shared. */
import { IconHourglass } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/queue',
    staticData: { may: 'usage.view' },
    component: lazyPage(['queue', 'requests'], () => import('./QueuePage'), 'QueuePage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/queue', label: 'nav.queue', icon: IconHourglass, section: 'traffic', order: 20, may: 'usage.view' },
]
