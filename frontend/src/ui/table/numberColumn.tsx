/** A column of numbers: they stand at the right, and what was not measured says so. */
import { NoData } from '../NoData'
import type { Column } from './column'

export function numberColumn<Row>(
  id: string,
  header: string,
  value: (row: Row) => number | null | undefined,
  format: (value: number) => string,
  width: number,
): Column<Row> {
  return {
    id,
    header,
    value,
    cell: (row) => {
      const found = value(row)
      return found == null ? <NoData /> : format(found)
    },
    align: 'right',
    width,
  }
}
