/** What versions took in memory when they were loaded, beside what was predicted. */
import { Table } from '@mantine/core'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { MeasuredMemory } from '../api/memory'
import { bytes, count, dateTime, share } from './format'
import { ScrollBox } from './ScrollBox'

export function MeasuredTable<Row extends MeasuredMemory>({
  rows,
  first,
  named,
}: {
  rows: readonly Row[]
  /** The heading of the first column, and what stands in it. */
  first: string
  named: (row: Row) => ReactNode
}) {
  const { t } = useTranslation()
  return (
    <ScrollBox label={t('memory.table')} minWidth={640}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{first}</Table.Th>
            <Table.Th>{t('memory.engine')}</Table.Th>
            <Table.Th ta="right">{t('memory.context')}</Table.Th>
            <Table.Th ta="right">{t('memory.slots')}</Table.Th>
            <Table.Th ta="right">{t('memory.predicted')}</Table.Th>
            <Table.Th ta="right">{t('memory.measured')}</Table.Th>
            <Table.Th ta="right">{t('memory.difference')}</Table.Th>
            <Table.Th>{t('memory.at')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={`${row.version} ${row.node}`}>
              <Table.Th scope="row">{named(row)}</Table.Th>
              <Table.Td>{row.engine}</Table.Td>
              <Table.Td ta="right">{count(row.context)}</Table.Td>
              <Table.Td ta="right">{row.slots === null ? '–' : count(row.slots)}</Table.Td>
              <Table.Td ta="right">
                {row.predicted === null ? t('memory.notKnown') : bytes(row.predicted)}
              </Table.Td>
              <Table.Td ta="right">{bytes(row.measured)}</Table.Td>
              <Table.Td ta="right">
                {row.difference_percent === null ? '–' : share(row.difference_percent / 100)}
              </Table.Td>
              <Table.Td>{dateTime(row.measured_at)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollBox>
  )
}
