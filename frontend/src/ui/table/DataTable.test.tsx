import { screen, waitFor, within } from '@testing-library/react'
import userEvent from '@testing-library/user-event'
import { expect, it, vi } from 'vitest'
import { shown } from '../../tests/render'
import type { Column } from './column'
import { DataTable, type DataTableProps } from './DataTable'

interface Thing {
  id: string
  name: string
  size: number | null
}

const COLUMNS: Column<Thing>[] = [
  { id: 'name', header: 'Name', value: (thing) => thing.name, primary: true },
  { id: 'size', header: 'Size', value: (thing) => thing.size, align: 'right' },
]
const thing = (name: string, size: number | null = null): Thing => ({ id: name, name, size })
const THINGS = [thing('b', 2), thing('c'), thing('a', 10)]

function table(props: Partial<DataTableProps<Thing>> = {}) {
  return (
    <DataTable
      id="things"
      label="Things"
      columns={COLUMNS}
      list={{ rows: THINGS }}
      idOf={(each) => each.id}
      empty={<p>Nothing yet</p>}
      {...props}
    />
  )
}

const names = () =>
  within(screen.getByRole('region', { name: 'Things' }))
    .getAllByRole('row')
    .slice(1)
    .map(
      (row) =>
        within(row)
          .getAllByRole('cell')
          .find((cell) => cell.dataset.column === 'name')?.textContent,
    )

it('sorts by a column, what is unknown last either way, and says so in the address', async () => {
  const { router } = await shown(table())
  expect(names()).toEqual(['b', 'c', 'a'])
  await userEvent.click(screen.getByRole('button', { name: 'Size' }))
  await waitFor(() => expect(names()).toEqual(['a', 'b', 'c']))
  expect(router.state.location.search).toEqual({ sort: '-size' })
  await userEvent.click(screen.getByRole('button', { name: 'Size' }))
  await waitFor(() => expect(names()).toEqual(['b', 'a', 'c']))
  expect(screen.getByRole('columnheader', { name: 'Size' }).getAttribute('aria-sort')).toBe('ascending')
})

it('shows what the address says', async () => {
  await shown(table(), '/?q=a&hide=size')
  await waitFor(() => expect(names()).toEqual(['a']))
  expect(screen.queryByRole('columnheader', { name: 'Size' })).toBeNull()
})

it('says that nothing matches, and leads back', async () => {
  await shown(table())
  await userEvent.type(screen.getByRole('searchbox'), 'zzz')
  await userEvent.click(await screen.findByRole('button', { name: 'Clear search and filters' }))
  await waitFor(() => expect(names()).toHaveLength(3))
})

it('shows that there is nothing, that it is on its way, and that it failed', async () => {
  const { rerender } = await shown(table({ list: { rows: [] } }))
  expect(screen.getByText('Nothing yet')).toBeDefined()
  rerender(table({ list: { rows: undefined } }))
  expect(screen.getByRole('status').textContent).toBe('Waiting for data')
  rerender(table({ list: { rows: undefined, error: new Error('It broke.') } }))
  expect(screen.getByRole('alert').textContent).toContain('It broke.')
})

it('does something with the rows that are selected', async () => {
  const run = vi.fn()
  await shown(table({ acts: [{ label: 'Revoke', run }] }))
  await userEvent.click(screen.getByRole('checkbox', { name: 'Select b' }))
  await userEvent.click(screen.getByRole('checkbox', { name: 'Select a' }))
  expect(screen.getByText('2 selected')).toBeDefined()
  await userEvent.click(screen.getByRole('button', { name: 'Revoke' }))
  expect(run).toHaveBeenCalledWith([THINGS[0], THINGS[2]])
})

it('keeps rows in their places while somebody points at them', async () => {
  const { rerender } = await shown(table({ live: true }))
  await userEvent.hover(screen.getByText('b'))
  rerender(table({ live: true, list: { rows: [thing('new'), thing('a', 11), thing('b', 2)] } }))
  expect(names()).toEqual(['b', 'c', 'a'])
  expect(screen.getByText('11')).toBeDefined()
  await userEvent.click(screen.getByRole('button', { name: /1 new row/ }))
  expect(names()).toEqual(['new', 'a', 'b'])
})

it('keeps the focus in its place when the row that has it goes away, and moves it by arrows', async () => {
  const actions = (each: Thing) => <button>Stop {each.name}</button>
  const { rerender } = await shown(table({ rowActions: actions }))
  screen.getByRole('button', { name: 'Stop b' }).focus()
  await userEvent.keyboard('{ArrowDown}')
  expect(document.activeElement?.textContent).toBe('Stop c')
  rerender(table({ rowActions: actions, list: { rows: [thing('b'), thing('a')] } }))
  expect(document.activeElement?.textContent).toBe('Stop a')
})

it('reads the next page when it is wanted', async () => {
  const more = vi.fn()
  await shown(table({ list: { rows: THINGS, more } }))
  await userEvent.click(screen.getByRole('button', { name: 'Show more' }))
  expect(more).toHaveBeenCalledOnce()
})

it('saves a view under a name, and shows it again', async () => {
  const { router } = await shown(table(), '/?q=a')
  await userEvent.click(screen.getByRole('button', { name: 'Saved views' }))
  await userEvent.type(await screen.findByRole('textbox', { name: 'Name of this view' }), 'Only a{Enter}')
  await router.navigate({ to: '.', search: {} } as never)
  await waitFor(() => expect(names()).toHaveLength(3))
  await userEvent.click(await screen.findByRole('menuitem', { name: 'Only a' }))
  await waitFor(() => expect(names()).toEqual(['a']))
})
