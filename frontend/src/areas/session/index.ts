/** Logging in: by password, by an identity provider, or by an invitation. */
import type { QueryClient } from '@tanstack/react-query'
import { createRoute, redirect } from '@tanstack/react-router'
import { sessionQuery } from '../../api/session'
import { lazyPage } from '../../app/lazyPage'
import { rootRoute } from '../../app/roots'
import { isOfServer } from './next'

/** The session says who is logged in, and brings the token that changes need. */
const withSession = async ({ context }: { context: { queries: QueryClient } }): Promise<void> => {
  await context.queries.query({ ...sessionQuery, staleTime: 'static' })
}

const nextOf = (search: Record<string, unknown>): { next?: string; again?: string } => {
  const next = search.next
  return {
    // Only an address of this console: never another site.
    ...(typeof next === 'string' && /^\/(?![/\\])/.test(next) && { next }),
    // Whoever is logged in logs in anew, perhaps as somebody else. A number in an address is read as one.
    ...(String(search.again) === '1' && { again: '1' }),
  }
}

const textsOf =
  <Name extends string>(...names: Name[]) =>
  (search: Record<string, unknown>): Partial<Record<Name, string>> =>
    Object.fromEntries(
      names.flatMap((name) => {
        const text = search[name]
        return typeof text === 'string' || typeof text === 'number' ? [[name, String(text)]] : []
      }),
    ) as Partial<Record<Name, string>>

export const routes = [
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/login',
    validateSearch: nextOf,
    beforeLoad: async ({ context, search }) => {
      const session = await context.queries.query({ ...sessionQuery, staleTime: 'static' })
      if (session.authenticated && search.again === undefined) {
        const href = search.next ?? '/'
        throw redirect({ href, reloadDocument: isOfServer(href) })
      }
    },
    component: lazyPage('session', () => import('./LoginPage'), 'LoginPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/invitation',
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./InvitationPage'), 'InvitationPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/forgot',
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./ForgotPage'), 'ForgotPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/reset',
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./ResetPage'), 'ResetPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/log-in/$tenant',
    validateSearch: nextOf,
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./TenantLogInPage'), 'TenantLogInPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/log-out',
    validateSearch: textsOf('client_id', 'post_logout_redirect_uri', 'state'),
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./LogOutPage'), 'LogOutPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/log-in-problem',
    validateSearch: (search: Record<string, unknown>): { why: string; said?: string } => ({
      why: typeof search.why === 'string' ? search.why : 'other',
      ...(typeof search.said === 'string' && /^[a-z_]{1,60}$/.test(search.said) ? { said: search.said } : {}),
    }),
    component: lazyPage('session', () => import('./ProblemPage'), 'ProblemPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/log-in-directory',
    validateSearch: (
      search: Record<string, unknown>,
    ): { provider: string; asked: string; login: string } => ({
      provider: typeof search.provider === 'string' ? search.provider : '',
      asked: typeof search.asked === 'string' ? search.asked : '',
      login: typeof search.login === 'string' ? search.login : '',
    }),
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./DirectoryLogInPage'), 'DirectoryLogInPage'),
  }),
  createRoute({
    getParentRoute: () => rootRoute,
    path: '/log-in-link',
    beforeLoad: withSession,
    component: lazyPage('session', () => import('./LinkPage'), 'LinkPage'),
  }),
] as const
