/** Evaluations: suites of prompts with checks, what versions of models reached in them, and what promotion requires. */
import { IconChecklist } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/evaluations',
    staticData: { may: 'model.view' },
    component: lazyPage('evaluations', () => import('./EvaluationsPage'), 'EvaluationsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/evaluations',
    label: 'nav.evaluations',
    icon: IconChecklist,
    section: 'fleet',
    order: 37,
    may: 'model.view',
  },
]
