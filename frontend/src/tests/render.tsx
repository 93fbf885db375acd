/** Renders a component as the console does: Mantine's theme, queries, and a router at an address. */
import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from '@tanstack/react-router'
import { render } from '@testing-library/react'
import { createContext, useContext, type ReactNode } from 'react'
import { theme } from '../app/theme'

const Content = createContext<ReactNode>(null)

function Shown() {
  return useContext(Content)
}

/**
 * `rerender` shows another element in the same place, as when its data changed. `known` gives the queries what the server would have
 * answered before anything is shown.
 */
export async function shown(element: ReactNode, address = '/', known?: (queries: QueryClient) => void) {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  known?.(queries)
  const router = createRouter({
    routeTree: createRootRoute({ component: Shown, notFoundComponent: Shown }),
    history: createMemoryHistory({ initialEntries: [address] }),
  })
  await router.load()
  const tree = (content: ReactNode) => (
    <QueryClientProvider client={queries}>
      <MantineProvider theme={theme} env="test">
        <Content value={content}>
          <RouterProvider router={router as never} />
        </Content>
      </MantineProvider>
    </QueryClientProvider>
  )
  const rendered = render(tree(element))
  return {
    router,
    queries,
    rerender: (content: ReactNode) => {
      rendered.rerender(tree(content))
    },
  }
}
