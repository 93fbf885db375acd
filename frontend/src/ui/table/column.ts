/** A column of a table: what it says of a row as a value (to sort, filter and export by), and how that is shown. */
import type { ReactNode } from 'react'

export type Value = string | number | boolean | null | undefined

export interface Column<Row> {
  id: string
  header: string
  /** What rows are sorted, searched and exported by. `null` is unknown: it stands last, whichever way is sorted. */
  value: (row: Row) => Value
  /** How it is shown; the value as text by default. Keep it to one line. */
  cell?: (row: Row) => ReactNode
  /** Numbers stand at the right. */
  align?: 'right'
  /** Pixels; a column without one takes what is left. */
  width?: number
  /** What the row is about: it stands first, cannot be hidden, and is the title of the row's card on a narrow screen. */
  primary?: boolean
  /** Not shown until it is chosen. */
  hidden?: boolean
  /** Where the server sorts: its word for this column. Without it the column is not sorted there. */
  orderBy?: string
  sortable?: boolean
  /** Choices that the toolbar offers, by the value as text. */
  filter?: readonly { value: string; label: string }[]
}

/** The columns that are not shown at first. */
export const hiddenOf = <Row>(columns: readonly Column<Row>[]): string[] =>
  columns.filter((column) => column.hidden).map((column) => column.id)

export const textOf = (value: Value): string => (value == null ? '' : String(value))

/** The order of two values; what is unknown is for the caller. */
export function compared(one: Value, other: Value): number {
  if (typeof one === 'number' && typeof other === 'number') return one - other
  return collator.compare(textOf(one), textOf(other))
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })

export interface Sort {
  id: string
  desc: boolean
}

/** What is chosen of a table. It is in the page's address. */
export interface TableState {
  /** A text to search for. */
  text: string
  sort: Sort | null
  /** Columns that are not shown. */
  hidden: readonly string[]
  /** Chosen values by column; a column that is not here takes all. */
  filters: Readonly<Record<string, readonly string[]>>
}

/** The rows that the state's text and filters leave. */
export function matching<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { text, filters }: Pick<TableState, 'text' | 'filters'>,
): readonly Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const wanted = columns.flatMap((column) => {
    const values = filters[column.id]
    return values === undefined || values.length === 0 ? [] : [{ column, values: new Set(values) }]
  })
  if (words.length === 0 && wanted.length === 0) return rows
  return rows.filter((row) => {
    if (!wanted.every(({ column, values }) => values.has(textOf(column.value(row))))) return false
    if (words.length === 0) return true
    const line = columns.map((column) => textOf(column.value(row)).toLowerCase()).join('\n')
    return words.every((word) => line.includes(word))
  })
}
