import { notifications, Notifications } from '@mantine/notifications'
import { screen } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { afterEach, expect, it, vi } from 'vitest'
import { shown } from '../tests/render'
import { act } from './act'
import { Confirmation } from './confirm'

const QUESTION = { title: 'Remove berlin-1?', consequence: 'It is gone for good.', action: 'Remove' }

afterEach(() => notifications.clean())

async function answered(button: string, run: () => Promise<unknown>): Promise<boolean> {
  await shown(
    <>
      <Notifications />
      <Confirmation />
    </>,
  )
  const acting = act(QUESTION, run, 'It was removed.')
  await userEvent.click(await screen.findByRole('button', { name: button }))
  return acting
}

it('does what is asked for, and says so', async () => {
  expect(await answered('Remove', () => Promise.resolve())).toBe(true)
  await screen.findByText('It was removed.')
})

it('says why it failed, and not that it was done', async () => {
  expect(await answered('Remove', () => Promise.reject(new Error('It is still loaded.')))).toBe(false)
  await screen.findByRole('alert')
  expect(screen.queryByText('It was removed.')).toBeNull()
})

it('does nothing where the answer is no', async () => {
  const run = vi.fn()
  expect(await answered('Cancel', run)).toBe(false)
  expect(run).not.toHaveBeenCalled()
})
