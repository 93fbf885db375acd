/** Beside a table's search: one value that the server filters by, kept in the page's address. */
import { Select } from '@mantine/core'
import type { TableView } from './useTableState'

interface ChoiceProps {
  view: TableView
  /** The filter's name in the address. */
  name: string
  label: string
  data: readonly (readonly [value: string, text: string])[]
  width?: number
}

export function Choice({ view, name, label, data, width = 150 }: ChoiceProps) {
  return (
    <Select
      size="xs"
      w={width}
      aria-label={label}
      placeholder={label}
      data={data.map(([value, text]) => ({ value, label: text }))}
      value={view.state.filters[name]?.[0] ?? null}
      clearable
      onChange={(value) =>
        view.change({ filters: { ...view.state.filters, [name]: value === null ? [] : [value] } })
      }
    />
  )
}
