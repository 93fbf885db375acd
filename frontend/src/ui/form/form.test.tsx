import { TextInput } from '@mantine/core'
import { screen, waitFor } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { Problem } from '../../api/client'
import { shown } from '../../tests/render'
import { FormDialog } from './FormDialog'
import { saidOf, useApiForm } from './useApiForm'

const problem = (fields: Record<string, string[]>) =>
  new Problem(400, 'invalid_request', 'All of it.', null, fields)

describe('what the API says', () => {
  it('stands at the fields that the form has, and the rest stands alone', () => {
    expect(
      saidOf(problem({ name: ['Is taken.'], 'limits.tokens': ['Too many.'] }), ['name', 'limits']),
    ).toEqual({
      fields: { name: 'Is taken.', 'limits.tokens': 'Too many.' },
      rest: null,
    })
    expect(saidOf(problem({ '': ['Not now.'], other: ['Odd.'] }), ['name'])).toEqual({
      fields: {},
      rest: 'Not now. other: Odd.',
    })
  })
  it('is the whole of it where no field is named', () => {
    expect(saidOf(problem({}), ['name']).rest).toBe('All of it.')
    expect(saidOf(new Error('Broken.'), ['name']).rest).toBe('Broken.')
  })
})

function Naming({ send }: { send: (values: { name: string }) => Promise<unknown> }) {
  const naming = useApiForm({
    initial: { name: '' },
    schema: z.object({ name: z.string().min(1, 'Give a name.') }),
    send,
  })
  return (
    <FormDialog opened onClose={() => undefined} title="Name it" action="Save" of={naming}>
      <TextInput label="Name" {...naming.form.getInputProps('name')} />
    </FormDialog>
  )
}

it('sends nothing that the schema does not take', async () => {
  const send = vi.fn(() => Promise.resolve())
  await shown(<Naming send={send} />)
  await userEvent.click(screen.getByRole('button', { name: 'Save' }))
  expect(await screen.findByText('Give a name.')).toBeDefined()
  expect(send).not.toHaveBeenCalled()
})

it('shows what the server says of a field at that field', async () => {
  const send = vi.fn(() => Promise.reject(problem({ name: ['Is taken.'] })))
  await shown(<Naming send={send} />)
  await userEvent.type(screen.getByLabelText('Name'), 'one')
  await userEvent.click(screen.getByRole('button', { name: 'Save' }))
  await waitFor(() => expect(screen.getByLabelText('Name').getAttribute('aria-invalid')).toBe('true'))
  expect(screen.getByText('Is taken.')).toBeDefined()
  expect(screen.queryByRole('alert')).toBeNull()
})
