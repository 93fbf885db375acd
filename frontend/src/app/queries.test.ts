import { expect, it, vi } from 'vitest'
import { Problem } from '../api/client'
import { sessionQuery } from '../api/session'
import { createQueries, type Leaving } from './queries'

function away(href: string) {
  const navigate = vi.fn<Leaving['navigate']>(() => Promise.resolve())
  const router: Leaving = { state: { location: { pathname: href.split('?')[0] ?? '', href } }, navigate }
  const queries = createQueries(() => router)
  queries.setQueryData(sessionQuery.queryKey, { authenticated: true } as never)
  return { queries, navigate }
}

const refused = (status: number) => () => Promise.reject(new Problem(status, 'code', 'words'))

it('leads to the log-in and back when any answer says that the session is over', async () => {
  const { queries, navigate } = away('/nodes?sort=name')
  await queries.query({ queryKey: ['x'], queryFn: refused(401) }).catch(() => null)
  expect(navigate).toHaveBeenCalledWith({ to: '/login', search: { next: '/nodes?sort=name' } })
  expect(queries.getQueryData(sessionQuery.queryKey)).toBeUndefined()
})

it('does so for an act, too', async () => {
  const { queries, navigate } = away('/')
  const mutation = queries.getMutationCache().build(queries, { mutationFn: refused(401) })
  await mutation.execute(undefined).catch(() => null)
  expect(navigate).toHaveBeenCalledWith({ to: '/login', search: {} })
})

it.each([403, 404, 422])('stays where it is for %i', async (status) => {
  const { queries, navigate } = away('/nodes')
  await queries.query({ queryKey: ['x'], queryFn: refused(status) }).catch(() => null)
  expect(navigate).not.toHaveBeenCalled()
})

it('stays at the log-in when the password is wrong', async () => {
  const { queries, navigate } = away('/login?next=%2Fkeys')
  await queries.query({ queryKey: ['x'], queryFn: refused(401) }).catch(() => null)
  expect(navigate).not.toHaveBeenCalled()
})
