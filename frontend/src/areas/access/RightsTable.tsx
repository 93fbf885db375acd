/** What somebody may do, and why. */
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Reason } from '../../api/access'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable, type Listed } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { useWords } from './words'

interface Line extends Reason {
  id: string
}

export function RightsTable({ list, prefix }: { list: Listed<Reason>; prefix: string }) {
  const { t } = useTranslation('access')
  const words = useWords()
  const view = useTableState({ prefix })
  const lines = useMemo(
    () => list.rows?.map((row, index): Line => ({ ...row, id: String(index) })),
    [list.rows],
  )
  const columns: Column<Line>[] = [
    { id: 'permission', header: t('may'), value: (row) => words.permission(row.permission), primary: true },
    { id: 'on', header: t('onWhat'), value: (row) => words.target(row.on), width: 260 },
    { id: 'why', header: t('why'), value: (row) => words.reason(row), width: 320 },
  ]
  return (
    <DataTable
      id="rights"
      label={t('rights')}
      columns={columns}
      list={{ ...list, rows: lines }}
      view={view}
      idOf={(row) => row.id}
      empty={<PageEmpty title={t('noRights')} />}
    />
  )
}
