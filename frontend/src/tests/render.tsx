/** Renders a component as the console does: Mantine's theme, queries, and a router at an address. */
import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import {
  createMemoryHistory,
  createRootRoute,
  createRouter,
  RouterContextProvider,
} from '@tanstack/react-router'
import { render } from '@testing-library/react'
import type { ReactNode } from 'react'
import { theme } from '../app/theme'

export function shown(element: ReactNode, address = '/') {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  const router = createRouter({
    routeTree: createRootRoute(),
    history: createMemoryHistory({ initialEntries: [address] }),
  })
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>
      <MantineProvider theme={theme} env="test">
        <RouterContextProvider router={router as never}>{children}</RouterContextProvider>
      </MantineProvider>
    </QueryClientProvider>
  )
  return { router, queries, ...render(element, { wrapper }) }
}
