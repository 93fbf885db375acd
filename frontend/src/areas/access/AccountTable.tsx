/** A table of what a service account is let in by, with a button to add to it, and one at each row to end it. */
import { Button, Group, Title } from '@mantine/core'
import type { RowData } from '@tanstack/react-table'
import type { ReactNode } from 'react'
import { useMay } from '../../api/session'
import type { Column } from '../../ui/table/column'
import { DataTable, type Listed } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'

interface Props<Row extends RowData> {
  id: string
  /** Before its state's names in the address; the page has more than one table. */
  prefix: string
  title: string
  columns: readonly Column<Row>[]
  list: Listed<Row>
  add: { label: string; run: () => void }
  end: { label: string; of: (name: string) => string; run: (row: Row) => Promise<unknown> }
  empty: ReactNode
}

export function AccountTable<Row extends RowData & { id: string; name: string; revoked_at: string | null }>({
  id,
  prefix,
  title,
  columns,
  list,
  add,
  end,
  empty,
}: Props<Row>) {
  const mayManage = useMay('key.manage')
  const view = useTableState({ prefix })
  const rowActions = (row: Row) =>
    row.revoked_at === null && (
      <Button
        size="compact-xs"
        variant="subtle"
        color="red"
        aria-label={end.of(row.name)}
        onClick={() => void end.run(row)}
      >
        {end.label}
      </Button>
    )
  return (
    <>
      <Group justify="space-between">
        <Title order={2} size="h4">
          {title}
        </Title>
        {mayManage && (
          <Button variant="default" onClick={add.run}>
            {add.label}
          </Button>
        )}
      </Group>
      <DataTable
        id={id}
        label={title}
        columns={columns}
        list={list}
        view={view}
        idOf={(row) => row.id}
        {...(mayManage ? { rowActions } : {})}
        empty={empty}
      />
    </>
  )
}
