/** What is chosen of a table, kept in the page's address: a link to it shows the same, and so does a refresh. */
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useMemo } from 'react'
import { searchOf, stateOf, type Search } from './address'
import type { Sort, TableState } from './column'

interface Start {
  /** By what rows are sorted when the address does not say. */
  sort?: Sort
  /** Which columns are not shown at first. */
  hidden?: readonly string[]
  filters?: TableState['filters']
  /** Tells the tables of one page apart. */
  prefix?: string
}

export interface TableView {
  state: TableState
  change: (change: Partial<TableState>) => void
  reset: () => void
  /** Whether text or filters leave rows out. */
  narrowed: boolean
}

export function useTableState({ sort, hidden, filters, prefix = '' }: Start = {}): TableView {
  const search: Search = useSearch({ strict: false })
  const navigate = useNavigate()
  // Pages write it in place: only what it says counts.
  const start = JSON.stringify({
    text: '',
    sort: sort ?? null,
    hidden: hidden ?? [],
    filters: filters ?? {},
  } satisfies TableState)
  const initial = useMemo(() => JSON.parse(start) as TableState, [start])
  const state = useMemo(() => stateOf(search, initial, prefix), [search, initial, prefix])
  const set = useCallback(
    (change: (state: TableState) => TableState) => {
      void navigate({
        to: '.',
        replace: true,
        resetScroll: false,
        search: ((before: Search) =>
          searchOf(before, change(stateOf(before, initial, prefix)), initial, prefix)) as never,
      })
    },
    [navigate, initial, prefix],
  )
  return {
    state,
    change: useCallback(
      (change) => {
        set((before) => ({ ...before, ...change }))
      },
      [set],
    ),
    reset: useCallback(() => {
      set((before) => ({ ...initial, hidden: before.hidden }))
    }, [set, initial]),
    narrowed: state.text !== '' || Object.values(state.filters).some((values) => values.length > 0),
  }
}
