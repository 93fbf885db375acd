/** Logging in. */
import { createRoute, redirect } from '@tanstack/react-router'
import { sessionQuery } from '../../api/session'
import { lazyPage } from '../../app/lazyPage'
import { rootRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/login',
    validateSearch: (search: Record<string, unknown>): { next?: string } => {
      const next = search.next
      // Only an address of this console: never another site.
      return typeof next === 'string' && /^\/(?![/\\])/.test(next) ? { next } : {}
    },
    beforeLoad: async ({ context, search }) => {
      const session = await context.queries.query({ ...sessionQuery, staleTime: 'static' })
      if (session.authenticated) throw redirect({ href: search.next ?? '/' })
    },
    component: lazyPage('session', () => import('./LoginPage'), 'LoginPage'),
  }),
] as const
