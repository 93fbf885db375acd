/** The router, made from the areas. */
import type { QueryClient } from '@tanstack/react-query'
import { createRouter } from '@tanstack/react-router'
import type { Permission } from '../api/session'
import { PageFailure, PageMissing, PagePending } from '../ui/PageState'
import { AREAS, OUTSIDE } from './areas'
import { insideRoute, rootRoute } from './roots'
import { Shell } from './Shell'

insideRoute.update({ component: Shell })

const routeTree = rootRoute.addChildren([
  ...OUTSIDE.flatMap((area) => area.routes),
  insideRoute.addChildren(AREAS.flatMap((area) => [...area.routes])),
])

export function createConsoleRouter(queries: QueryClient) {
  return createRouter({
    routeTree,
    context: { queries },
    defaultPreload: 'intent',
    defaultPendingComponent: PagePending,
    defaultErrorComponent: PageFailure,
    defaultNotFoundComponent: PageMissing,
    scrollRestoration: true,
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createConsoleRouter>
  }
  interface StaticDataRouteOption {
    /** What a page needs; who lacks it is told so instead of being shown the page. */
    may?: Permission
  }
}
