import { screen } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { expect, it } from 'vitest'
import { shown } from '../tests/render'
import { Confirmation, confirmed } from './confirm'

const QUESTION = { title: 'Remove berlin-1?', consequence: 'It is gone for good.', action: 'Remove' }

it('says yes by the verb, and no by Escape', async () => {
  await shown(<Confirmation />)
  const first = confirmed(QUESTION)
  await userEvent.click(await screen.findByRole('button', { name: 'Remove' }))
  expect(await first).toBe(true)
  const second = confirmed(QUESTION)
  await screen.findByText('It is gone for good.')
  await userEvent.keyboard('{Escape}')
  expect(await second).toBe(false)
})

it('wants the name typed for what cannot be undone', async () => {
  await shown(<Confirmation />)
  const answer = confirmed({ ...QUESTION, type: 'berlin-1' })
  const button: HTMLButtonElement = await screen.findByRole('button', { name: 'Remove' })
  expect(button.disabled).toBe(true)
  await userEvent.type(screen.getByRole('textbox'), 'berlin-1{Enter}')
  expect(await answer).toBe(true)
})

it('takes a question that another one replaces for a no', async () => {
  await shown(<Confirmation />)
  const first = confirmed(QUESTION)
  const button = await screen.findByRole('button', { name: 'Remove' })
  const second = confirmed({ ...QUESTION, title: 'Another?' })
  // The first one's button, before the page shows the second.
  button.click()
  expect(await first).toBe(false)
  expect((await screen.findByRole('heading')).textContent).toBe('Another?')
  await userEvent.click(screen.getByRole('button', { name: 'Remove' }))
  expect(await second).toBe(true)
})
