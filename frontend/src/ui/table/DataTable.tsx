/** A table of any length: sorted, searched, filtered, with columns, selection, saved views and a file of it; a list of cards
 * where it is narrow. What is chosen is in the page's address. Rows stand still while somebody points at them. */
import { Button } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import {
  columnVisibilityFeature,
  createSortedRowModel,
  rowSelectionFeature,
  rowSortingFeature,
  tableFeatures,
  useTable,
  type ColumnDef,
  type Row as TableRow,
  type RowData,
  type RowSelectionState,
} from '@tanstack/react-table'
import { useMemo, useState, type ComponentType, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { usePreference } from '../../app/preferences'
import { count } from '../format'
import { PageEmpty, PageFailure, PagePending } from '../PageState'
import { Bulk } from './Bulk'
import { Cards } from './Cards'
import { compared, hiddenOf, matching, type Column, type Value } from './column'
import classes from './DataTable.module.css'
import { Grid } from './Grid'
import { standing } from './held'
import { Toolbar } from './Toolbar'
import { useTableState, type TableView } from './useTableState'

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  columnVisibilityFeature,
  rowSelectionFeature,
})
export type Features = typeof features
export type Shown<Row extends RowData> = TableRow<Features, Row>

/** Rows as a hook of src/api gives them: all at once, or page by page. */
export interface Listed<Row extends RowData> {
  /** Absent until they were read. */
  rows: readonly Row[] | undefined
  error?: Error | null
  refetch?: () => unknown
  /** Reads the next page; absent where there is no more. */
  more?: (() => void) | undefined
  loadingMore?: boolean
  /** How many there are in all, where that is known. */
  total?: number
}

export interface Act<Row extends RowData> {
  label: string
  icon?: ComponentType<{ size?: number | string }>
  color?: string
  /** Whether it can be done with all of these. */
  may?: (rows: readonly Row[]) => boolean
  run: (rows: readonly Row[]) => void
}

export interface DataTableProps<Row extends RowData> {
  /** Names its saved views and its file. */
  id: string
  /** Read out by screen readers. */
  label: string
  columns: readonly Column<Row>[]
  list: Listed<Row>
  idOf: (row: Row) => string
  /** Where a row leads; a click anywhere on it goes there, and the primary column is the link. */
  linkOf?: (row: Row) => { to: string; params?: Record<string, string> } | undefined
  /** What can be done with several rows at once. */
  acts?: readonly Act<Row>[]
  /** Buttons of a row, at its end. */
  rowActions?: (row: Row) => ReactNode
  /** Pixels that these take; by default as many as one button does. */
  rowActionsWidth?: number
  /** Shown where there is no row at all; it says what makes one. */
  empty: ReactNode
  /** From `useTableState`, where the page needs to know it: the server sorts and filters. By default the table does. */
  view?: TableView
  /** Whether rows come, go and move by themselves. */
  live?: boolean
  /** Beside the search: filters of the page's own. */
  tools?: ReactNode
  /** Whether the row deserves attention, and how. */
  toneOf?: (row: Row) => 'bad' | 'warn' | undefined
}

export const NARROW = '(width <= 700px)'

export function DataTable<Row extends RowData>({ view, ...props }: DataTableProps<Row>) {
  return view === undefined ? <OwnState {...props} /> : <Sorted {...props} view={view} server />
}

function OwnState<Row extends RowData>(props: Omit<DataTableProps<Row>, 'view'>) {
  return <Sorted {...props} view={useTableState({ hidden: hiddenOf(props.columns) })} server={false} />
}

export interface SortedProps<Row extends RowData> extends DataTableProps<Row> {
  view: TableView
  /** Whether the server sorts and filters. */
  server: boolean
}

function Sorted<Row extends RowData>(props: SortedProps<Row>) {
  const { columns, list, idOf, view, server, live = false, empty } = props
  const { t } = useTranslation()
  const narrow = useMediaQuery(NARROW, false, { getInitialValueInEffect: false })
  const compact = usePreference('density') !== 'roomy'
  const [selection, setSelection] = useState<RowSelectionState>({})
  const { state } = view
  const rows = useMemo(
    () => (server ? (list.rows ?? NONE) : matching(list.rows ?? NONE, columns, state)) as Row[],
    [server, list.rows, columns, state],
  )
  const definitions = useMemo(
    () => columns.map((column): ColumnDef<Features, Row> => defined(column, server)),
    [columns, server],
  )
  const table = useTable({
    features,
    columns: definitions,
    data: rows,
    getRowId: idOf,
    manualSorting: server,
    enableMultiSort: false,
    state: {
      sorting: state.sort === null ? [] : [state.sort],
      columnVisibility: Object.fromEntries(state.hidden.map((each) => [each, false])),
      rowSelection: selection,
    },
    onSortingChange: (change) => {
      const before = state.sort === null ? [] : [state.sort]
      const [next] = typeof change === 'function' ? change(before) : change
      view.change({ sort: next === undefined ? null : { id: next.id, desc: next.desc } })
    },
    onRowSelectionChange: setSelection,
  })
  const now = table.getRowModel().rows
  const [stood, setStood] = useState<readonly Shown<Row>[] | null>(null)
  const held = useMemo(
    () => (stood === null ? { rows: now, fresh: 0 } : standing(stood, now, (row) => row.id)),
    [stood, now],
  )
  const chosen = now.filter((row) => selection[row.id])
  const hold = (on: boolean) => {
    if (live) setStood(on ? now : null)
  }

  if (list.rows === undefined) {
    if (list.error == null) return <PagePending />
    return <PageFailure error={list.error} reset={() => void list.refetch?.()} />
  }
  if (list.rows.length === 0 && !view.narrowed) return empty
  const parts = { ...props, table, rows: held.rows, compact, selection, setSelection, hold }
  return (
    <div className={classes.table} data-density={compact ? 'compact' : 'roomy'}>
      <Toolbar {...props} table={table} rows={now} narrow={narrow} />
      {chosen.length > 0 && (
        <Bulk
          acts={props.acts ?? []}
          rows={chosen.map((row) => row.original)}
          onClear={() => {
            setSelection({})
          }}
        />
      )}
      {held.fresh > 0 && (
        <Button
          className={classes.fresh}
          size="compact-sm"
          onClick={() => {
            setStood(null)
          }}
        >
          {t('table.fresh', { count: held.fresh })}
        </Button>
      )}
      {held.rows.length === 0 ? (
        <PageEmpty title={t('table.nothing')}>
          <Button variant="default" size="xs" onClick={view.reset}>
            {t('table.reset')}
          </Button>
        </PageEmpty>
      ) : narrow ? (
        <Cards {...parts} />
      ) : (
        <Grid {...parts} />
      )}
      <div className={classes.foot}>
        <span aria-live="polite">
          {t('table.count', { count: now.length, shown: count(list.total ?? now.length) })}
          {list.more !== undefined && ` · ${t('table.more')}`}
        </span>
        {list.more !== undefined && (
          <Button variant="subtle" size="compact-sm" loading={list.loadingMore ?? false} onClick={list.more}>
            {t('action.more')}
          </Button>
        )}
      </div>
    </div>
  )
}

const NONE: readonly never[] = []

function defined<Row extends RowData>(column: Column<Row>, server: boolean): ColumnDef<Features, Row> {
  return {
    id: column.id,
    header: column.header,
    accessorFn: (row) => column.value(row) ?? undefined,
    sortUndefined: 'last',
    sortFn: (one, other, id) => compared(one.getValue<Value>(id), other.getValue<Value>(id)),
    sortDescFirst: column.align === 'right',
    enableSorting: server ? column.orderBy !== undefined : column.sortable !== false,
    enableHiding: column.primary !== true,
  }
}
