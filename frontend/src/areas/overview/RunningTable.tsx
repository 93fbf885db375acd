/** Requests that were admitted and are not settled. */
import { Table } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { RunningRequest } from '../../live/types'
import { useServerTime } from '../../live/useLive'
import { count, duration } from '../../ui/format'
import { ScrollBox } from '../../ui/ScrollBox'
import { RequestLink } from '../requests/RequestLink'
import classes from '../requests/RequestTable.module.css'

interface RunningTableProps {
  requests: readonly RunningRequest[]
  total: number
}

export function RunningTable({ requests, total }: RunningTableProps) {
  const { t } = useTranslation('overview')
  if (total === 0) return <p className={classes.idle}>{t('runsNothing')}</p>
  return (
    <>
      <ScrollBox label={t('runningTable')}>
        <Table className={classes.table} verticalSpacing={7} horizontalSpacing={18}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('model')}</Table.Th>
              <Table.Th>{t('node')}</Table.Th>
              <Table.Th>{t('api')}</Table.Th>
              <Table.Th className={classes.right}>{t('for')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {requests.map((request) => (
              <Table.Tr key={request.request} className={classes.row}>
                <Table.Td data-label={t('model')} className={classes.strong}>
                  <RequestLink request={request.request} model={request.model} />
                </Table.Td>
                <Table.Td data-label={t('node')} className={classes.wide}>
                  {request.node_name}
                </Table.Td>
                <Table.Td data-label={t('api')} className={`${classes.mono ?? ''} ${classes.wide ?? ''}`}>
                  {request.api}
                </Table.Td>
                <Table.Td data-label={t('for')} className={classes.right}>
                  <RunsFor since={request.received_at} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
      {total > requests.length && (
        <p className={classes.more}>
          {t('more', { count: total - requests.length, shown: count(total - requests.length) })}
        </p>
      )}
    </>
  )
}

function RunsFor({ since }: { since: number }) {
  return duration(Math.max(0, useServerTime() - since) * 1000)
}
