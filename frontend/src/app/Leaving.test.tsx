import { screen } from '@testing-library/react'
import { expect, it } from 'vitest'
import { sessionQuery, type Session } from '../api/session'
import { shown } from '../tests/render'
import { Leaving } from './Leaving'

const LEAVING = { id: '1', slug: 'acme', name: 'Acme', is_owner: true, deletes_at: '2027-01-02T12:00:00Z' }

async function withLeaving(...leaving: Session['leaving']) {
  await shown(<Leaving />, '/', (queries) => {
    queries.setQueryData(sessionQuery.queryKey, { leaving } as unknown as Session)
  })
}

it('says to an owner when the organisation goes, and lets them keep it or take its data', async () => {
  await withLeaving(LEAVING)
  expect((await screen.findByRole('status')).textContent).toMatch(/Acme will be deleted on .*2027/)
  expect(screen.getByRole('button', { name: 'Do not delete' })).toBeTruthy()
  expect(screen.getByRole('button', { name: 'Export its data' })).toBeTruthy()
})

it('says to another member when it goes, and offers nothing that they may not', async () => {
  await withLeaving({ ...LEAVING, is_owner: false })
  expect((await screen.findByRole('status')).textContent).toMatch(/Acme will be deleted/)
  expect(screen.queryByRole('button')).toBeNull()
})
