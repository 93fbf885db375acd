/** The rows as a table. Of many rows only those in sight are in the document. */
import { Checkbox } from '@mantine/core'
import { IconArrowDown, IconArrowsSort, IconArrowUp } from '@tabler/icons-react'
import { Link, useNavigate } from '@tanstack/react-router'
import type { ReactTable, RowData, RowSelectionState } from '@tanstack/react-table'
import { defaultRangeExtractor, useVirtualizer } from '@tanstack/react-virtual'
import {
  useEffect,
  useRef,
  type Dispatch,
  type KeyboardEvent,
  type MouseEvent,
  type SetStateAction,
} from 'react'
import { useTranslation } from 'react-i18next'
import { textOf, type Column } from './column'
import type { DataTableProps, Features, Shown } from './DataTable'
import classes from './DataTable.module.css'
import { useKeptFocus } from './useKeptFocus'

export interface PartProps<Row extends RowData> extends DataTableProps<Row> {
  table: ReactTable<Features, Row>
  /** As they are shown. */
  rows: readonly Shown<Row>[]
  compact: boolean
  selection: RowSelectionState
  setSelection: Dispatch<SetStateAction<RowSelectionState>>
  /** The pointer or the focus came to the rows, or left them. */
  hold: (on: boolean) => void
}

/** Fewer rows than these are all in the document: the browser's own search finds them. */
export const VIRTUAL_FROM = 80
const BEFORE_END = 12

export function Grid<Row extends RowData>(props: PartProps<Row>) {
  const { t } = useTranslation()
  const { table, rows, columns, compact, list, label, acts, rowActions, rowActionsWidth = 110, hold } = props
  const box = useRef<HTMLDivElement>(null)
  const body = useRef<HTMLTableSectionElement>(null)
  const height = compact ? 36 : 48
  const focus = useKeptFocus(body, rows)
  const virtual = rows.length >= VIRTUAL_FROM
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing of it is passed to memoized components
  const virtualizer = useVirtualizer({
    count: rows.length,
    enabled: virtual,
    getScrollElement: () => box.current,
    estimateSize: () => height,
    getItemKey: (index) => rows[index]?.id ?? index,
    overscan: 12,
    // The focused row stays in the document, however far one scrolls.
    rangeExtractor: (range) => {
      const indexes = defaultRangeExtractor(range)
      const kept = focus.index()
      return kept === null || kept >= range.count || indexes.includes(kept)
        ? indexes
        : [...indexes, kept].sort((one, other) => one - other)
    },
  })
  const items = virtual
    ? virtualizer.getVirtualItems().map(({ index, start, end }) => ({ index, start, end }))
    : rows.map((_row, index) => ({ index, start: index * height, end: (index + 1) * height }))
  const last = items.at(-1)?.index ?? 0
  const { more, loadingMore } = list
  useEffect(() => {
    if (virtual && last >= rows.length - BEFORE_END && loadingMore !== true) more?.()
  }, [virtual, last, rows.length, more, loadingMore])

  const shown = table
    .getVisibleLeafColumns()
    .flatMap((each) => columns.find((column) => column.id === each.id) ?? [])
  const selectable = acts !== undefined && acts.length > 0
  const extra = Number(selectable) + Number(rowActions !== undefined)
  const beside = (selectable ? 44 : 0) + (rowActions === undefined ? 0 : rowActionsWidth)
  let at = 0
  return (
    <div ref={box} className={classes.scroll} tabIndex={0} role="region" aria-label={label}>
      <table
        className={classes.grid}
        style={{ minWidth: shown.reduce((sum, column) => sum + (column.width ?? 180), beside) }}
        aria-rowcount={list.more === undefined ? rows.length + 1 : -1}
      >
        <colgroup>
          {selectable && <col style={{ width: 44 }} />}
          {shown.map((column) => (
            <col
              key={column.id}
              {...(column.width === undefined ? {} : { style: { width: column.width } })}
            />
          ))}
          {rowActions !== undefined && <col style={{ width: rowActionsWidth }} />}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {selectable && (
              <th className={classes.check}>
                <Checkbox
                  size="xs"
                  aria-label={t('table.selectAll')}
                  checked={table.getIsAllRowsSelected()}
                  indeterminate={table.getIsSomeRowsSelected()}
                  onChange={table.getToggleAllRowsSelectedHandler()}
                />
              </th>
            )}
            {shown.map((column) => (
              <Head key={column.id} column={column} table={table} />
            ))}
            {rowActions !== undefined && (
              <th className={classes.actions}>
                <span className="sr-only">{t('table.actions')}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody
          ref={body}
          onPointerEnter={() => {
            hold(true)
          }}
          onPointerLeave={() => {
            hold(false)
          }}
          {...focus.handlers}
        >
          {items.map(({ index, start, end }) => {
            const row = rows[index]
            if (row === undefined) return null
            const gap = start - at
            at = end
            return (
              <GridRow
                key={row.id}
                {...props}
                row={row}
                index={index}
                gap={virtual ? gap : 0}
                shown={shown}
                selectable={selectable}
                selected={props.selection[row.id] === true}
              />
            )
          })}
          {virtual && virtualizer.getTotalSize() > at && (
            <tr aria-hidden="true">
              <td
                colSpan={shown.length + extra}
                style={{ height: virtualizer.getTotalSize() - at, padding: 0 }}
              />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  )
}

function Head<Row extends RowData>({
  column,
  table,
}: {
  column: Column<Row>
  table: ReactTable<Features, Row>
}) {
  const known = table.getColumn(column.id)
  const sorted = known?.getIsSorted() ?? false
  const order = sorted === 'asc' ? 'ascending' : sorted === 'desc' ? 'descending' : 'none'
  if (known?.getCanSort() !== true) {
    return <th className={column.align === 'right' ? classes.right : undefined}>{column.header}</th>
  }
  const Icon = sorted === 'asc' ? IconArrowUp : sorted === 'desc' ? IconArrowDown : IconArrowsSort
  return (
    <th className={column.align === 'right' ? classes.right : undefined} aria-sort={order}>
      <button
        type="button"
        className={classes.sort}
        data-sorted={sorted !== false}
        onClick={known.getToggleSortingHandler()}
      >
        {column.header}
        <Icon size={13} stroke={2} aria-hidden="true" />
      </button>
    </th>
  )
}

interface GridRowProps<Row extends RowData> extends PartProps<Row> {
  row: Shown<Row>
  index: number
  /** Pixels of rows that are not in the document, before this one. */
  gap: number
  shown: readonly Column<Row>[]
  selectable: boolean
  selected: boolean
}

function GridRow<Row extends RowData>(props: GridRowProps<Row>) {
  const { row, index, gap, shown, selectable, selected, linkOf, rowActions, toneOf, columns } = props
  const { t } = useTranslation()
  const navigate = useNavigate()
  const link = linkOf?.(row.original)
  const primary = columns.find((column) => column.primary)
  const open = (event: MouseEvent<HTMLTableRowElement>) => {
    if (link === undefined || event.defaultPrevented || hasSelectedText() || isControl(event)) return
    void navigate(link as never)
  }
  return (
    <>
      {gap > 0 && (
        <tr aria-hidden="true">
          <td colSpan={shown.length + 2} style={{ height: gap, padding: 0 }} />
        </tr>
      )}
      <tr
        data-row={index}
        aria-rowindex={index + 2}
        aria-selected={selectable ? selected : undefined}
        data-tone={toneOf?.(row.original)}
        data-link={link !== undefined}
        onClick={open}
      >
        {selectable && (
          <td className={classes.check}>
            <Checkbox
              size="xs"
              aria-label={t('table.select', { name: textOf(primary?.value(row.original)) })}
              checked={selected}
              onChange={(event) => {
                row.toggleSelected(event.currentTarget.checked)
              }}
            />
          </td>
        )}
        {shown.map((column) => (
          <td key={column.id} className={cellClass(column)} data-column={column.id}>
            {column.primary === true && link !== undefined ? (
              <Link {...(link as { to: string })} className={classes.link} preload={false}>
                <CellOf column={column} row={row.original} />
              </Link>
            ) : (
              <CellOf column={column} row={row.original} />
            )}
          </td>
        ))}
        {rowActions !== undefined && <td className={classes.actions}>{rowActions(row.original)}</td>}
      </tr>
    </>
  )
}

export function CellOf<Row extends RowData>({ column, row }: { column: Column<Row>; row: Row }) {
  if (column.cell !== undefined) return column.cell(row)
  const text = textOf(column.value(row))
  return text === '' ? (
    <span className={classes.unknown}>–</span>
  ) : (
    <span className={classes.plain} title={text}>
      {text}
    </span>
  )
}

function cellClass<Row extends RowData>(column: Column<Row>): string {
  return [column.align === 'right' ? classes.right : '', column.primary === true ? classes.primary : '']
    .filter(Boolean)
    .join(' ')
}

/** A text that was just marked is there to be copied: the row does not lead away from it. */
function hasSelectedText(): boolean {
  return (window.getSelection()?.toString() ?? '') !== ''
}

function isControl(event: MouseEvent | KeyboardEvent): boolean {
  return (
    event.target instanceof Element && event.target.closest('a,button,input,label,[role=menuitem]') !== null
  )
}
