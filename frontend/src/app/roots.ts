/** The two roots under which every address lies: the bare one, and the one inside, for whoever is logged in. */
import type { QueryClient } from '@tanstack/react-query'
import { createRootRouteWithContext, createRoute, redirect } from '@tanstack/react-router'
import { sessionQuery } from '../api/session'
import { Failure, NotFound } from './Failure'
import { Root } from './Root'

interface Context {
  queries: QueryClient
}

export const rootRoute = createRootRouteWithContext<Context>()({
  component: Root,
  errorComponent: Failure,
  notFoundComponent: NotFound,
})

/** Its component, the shell, is given to it in router.tsx: the shell is made from the areas, whose routes are made from this. */
export const insideRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'inside',
  beforeLoad: async ({ context, location }) => {
    const session = await context.queries.query({ ...sessionQuery, staleTime: 'static' })
    if (!session.authenticated) {
      throw redirect({ to: '/login', search: location.href === '/' ? {} : { next: location.href } })
    }
    // No tenant lets them in before they have a second factor: the way there is their account.
    if (session.tenant === null && session.factor_wanted !== null && location.pathname !== '/account') {
      throw redirect({ href: '/account' })
    }
  },
})
