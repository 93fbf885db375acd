/** Rows as a file of comma-separated values (RFC 4180), as spreadsheets read it. */
import { textOf, type Column, type Value } from './column'

/** A text that a spreadsheet would take for a formula is marked as text: names come from others. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/

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

/** Gives the browser a table to keep. The mark at its beginning tells spreadsheets that it is UTF-8. */
export function download(name: string, text: string): void {
  keepBlob(name, new Blob(['\uFEFF', text], { type: 'text/csv;charset=utf-8' }))
}

export function keepBlob(name: string, blob: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
