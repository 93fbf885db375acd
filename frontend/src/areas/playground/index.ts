/** The playground: a conversation with one model, or with two side by side. */
import { IconMessages } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/playground',
    staticData: { may: 'inference.use' },
    component: lazyPage('playground', () => import('./PlaygroundPage'), 'PlaygroundPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/playground',
    label: 'nav.playground',
    icon: IconMessages,
    section: 'use',
    order: 10,
    may: 'inference.use',
  },
]
