/** How the API is asked: what is tried again, and that a session which is over leads to the log-in and back. */
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { Problem } from '../api/client'
import { sessionQuery } from '../api/session'

/** What of a router a lost session needs. */
export interface Leaving {
  state: { location: { pathname: string; href: string } }
  navigate: (to: { to: '/login'; search: { next?: string } }) => Promise<void>
}

export function createQueries(router: () => Leaving): QueryClient {
  const onError = (error: Error): void => {
    if (error instanceof Problem && error.status === 401) void leave(queries, router())
  }
  const queries = new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        retry: (failures, error) =>
          failures < 2 && (!(error instanceof Problem) || error.status === 0 || error.status >= 500),
      },
    },
  })
  return queries
}

/** To the log-in, from where whoever logs in comes back to where they were. */
export async function leave(queries: QueryClient, router: Leaving): Promise<void> {
  const { pathname, href } = router.state.location
  if (pathname === '/login') return
  queries.removeQueries({ queryKey: sessionQuery.queryKey })
  await router.navigate({ to: '/login', search: href === '/' ? {} : { next: href } })
}
