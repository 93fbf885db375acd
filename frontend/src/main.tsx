import './app/nonce'
import '@mantine/core/styles.layer.css'
import '@mantine/notifications/styles.layer.css'
import '@mantine/spotlight/styles.layer.css'
import './app/tokens.css'
import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { reloadOnceForNewBuild } from './app/newBuild'
import { nonce } from './app/nonce'
import { createQueries } from './app/queries'
import { createConsoleRouter } from './app/router'
import { theme, variables } from './app/theme'
import { startTexts } from './i18n'

reloadOnceForNewBuild()
const queries = createQueries(() => router)
const router = createConsoleRouter(queries)

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
await startTexts()
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={variables}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <RouterProvider router={router} />
      </MantineProvider>
    </QueryClientProvider>
  </StrictMode>,
)
