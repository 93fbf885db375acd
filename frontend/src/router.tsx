/** Addresses of the console. */
import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { sessionQuery } from './api/session'
import { Failure, NotFound } from './pages/Failure'
import { LoginPage } from './pages/LoginPage'
import { OverviewPage } from './pages/OverviewPage'
import { Shell } from './pages/Shell'

interface Context {
  queries: QueryClient
}

const rootRoute = createRootRouteWithContext<Context>()({
  component: Outlet,
  errorComponent: Failure,
  notFoundComponent: NotFound,
})

const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/login',
  validateSearch: (search: Record<string, unknown>): { next?: string } => {
    const next = search.next
    // Only an address of this console: never another site.
    return typeof next === 'string' && /^\/(?![/\\])/.test(next) ? { next } : {}
  },
  beforeLoad: async ({ context, search }) => {
    const session = await context.queries.query({ ...sessionQuery, staleTime: 'static' })
    if (session.authenticated) throw redirect({ to: search.next ?? '/' })
  },
  component: LoginPage,
})

const insideRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'inside',
  beforeLoad: async ({ context, location }) => {
    const session = await context.queries.query({ ...sessionQuery, staleTime: 'static' })
    if (!session.authenticated) {
      throw redirect({ to: '/login', search: location.pathname === '/' ? {} : { next: location.pathname } })
    }
  },
  component: Shell,
})

const overviewRoute = createRoute({
  getParentRoute: () => insideRoute,
  path: '/',
  component: OverviewPage,
})
const keysRoute = createRoute({
  getParentRoute: () => insideRoute,
  path: '/keys',
  component: lazyRouteComponent(() => import('./pages/KeysPage'), 'KeysPage'),
})

const requestRoute = createRoute({
  getParentRoute: () => insideRoute,
  path: '/requests/$id',
  component: lazyRouteComponent(() => import('./pages/RequestPage'), 'RequestPage'),
})

const routeTree = rootRoute.addChildren([
  loginRoute,
  insideRoute.addChildren([overviewRoute, keysRoute, requestRoute]),
])

export function createConsoleRouter(queries: QueryClient) {
  return createRouter({ routeTree, context: { queries }, scrollRestoration: false })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createConsoleRouter>
  }
}
