/** What can be done with the rows that are selected. */
import { Button } from '@mantine/core'
import type { RowData } from '@tanstack/react-table'
import { useTranslation } from 'react-i18next'
import type { Act } from './DataTable'
import classes from './DataTable.module.css'

interface BulkProps<Row extends RowData> {
  acts: readonly Act<Row>[]
  rows: readonly Row[]
  onClear: () => void
}

export function Bulk<Row extends RowData>({ acts, rows, onClear }: BulkProps<Row>) {
  const { t } = useTranslation()
  return (
    <div className={classes.bulk} role="toolbar" aria-label={t('table.bulk')}>
      <strong role="status">{t('table.selected', { count: rows.length })}</strong>
      {acts.map((act) => (
        <Button
          key={act.label}
          size="compact-sm"
          variant="light"
          color={act.color ?? 'brand'}
          disabled={act.may?.(rows) === false}
          leftSection={act.icon === undefined ? undefined : <act.icon size={14} />}
          onClick={() => {
            act.run(rows)
          }}
        >
          {act.label}
        </Button>
      ))}
      <Button size="compact-sm" variant="subtle" color="gray" onClick={onClear}>
        {t('table.clear')}
      </Button>
    </div>
  )
}
