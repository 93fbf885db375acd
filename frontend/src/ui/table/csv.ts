/** Rows as a file of comma-separated values (RFC 4180), as spreadsheets read it. */
import { textOf, type Column, type Value } from './column'

/** A text that a spreadsheet would take for a formula is marked as text: names come from others. */
const FORMULA = /^[=+\-@\t\r]/

function cell(value: Value): string {
  const text = typeof value === 'string' && FORMULA.test(value) ? `'${value}` : textOf(value)
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function csvOf<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [
    columns.map((column) => cell(column.header)),
    ...rows.map((row) => columns.map((column) => cell(column.value(row)))),
  ]
  return lines.map((line) => line.join(',') + '\r\n').join('')
}

export function download(name: string, text: string, type = 'text/csv'): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob(['\uFEFF', text], { type: `${type};charset=utf-8` }))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
