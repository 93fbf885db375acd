/** Budgets of the organisation, and what models cost. */
import { IconCoins } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/budgets',
    staticData: { may: 'usage.view' },
    component: lazyPage('budgets', () => import('./BudgetsPage'), 'BudgetsPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/budgets',
    label: 'nav.budgets',
    icon: IconCoins,
    section: 'organisation',
    order: 35,
    may: 'usage.view',
  },
]
