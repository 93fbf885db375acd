/** My account: who one is, how the console speaks and looks, the password, and where one is logged in. */
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/account',
    component: lazyPage('account', () => import('./AccountPage'), 'AccountPage'),
  }),
] as const

/** It is in the account's menu. */
export const entries: readonly Entry[] = []
