/** Requests that wait for a free slot, the next first. */
import { Table } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { WaitingRequest } from '../../live/types'
import { useServerTime } from '../../live/useLive'
import { clockTime, count, dateTime, expected, span } from '../../ui/format'
import { RequestLink } from '../requests/RequestLink'
import { ScrollBox } from '../../ui/ScrollBox'
import { Tag, type Tone } from '../../ui/Tag'
import classes from '../requests/RequestTable.module.css'

const PRIORITY: Record<WaitingRequest['priority'], Tone> = { high: 'accent', normal: 'plain', low: 'plain' }

interface WaitingTableProps {
  requests: readonly WaitingRequest[]
  total: number
}

export function WaitingTable({ requests, total }: WaitingTableProps) {
  const { t } = useTranslation('overview')
  if (total === 0) return <p className={classes.idle}>{t('nobodyWaits')}</p>
  return (
    <>
      <ScrollBox label={t('waitingTable')}>
        <Table className={classes.table} verticalSpacing={7} horizontalSpacing={12}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('model')}</Table.Th>
              <Table.Th>{t('priority')}</Table.Th>
              <Table.Th className={classes.right}>{t('place')}</Table.Th>
              <Table.Th className={classes.right}>{t('expectedWait')}</Table.Th>
              <Table.Th className={classes.right}>{t('waitingSince')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {requests.map((request) => (
              <Table.Tr key={request.request} className={classes.row}>
                <Table.Td data-label={t('model')} className={classes.strong}>
                  <RequestLink request={request.request} model={request.model} />
                </Table.Td>
                <Table.Td data-label={t('priority')}>
                  <Tag tone={PRIORITY[request.priority]}>{t(`class.${request.priority}`)}</Tag>
                </Table.Td>
                <Table.Td data-label={t('place')} className={classes.right}>
                  {count(request.position)}
                </Table.Td>
                <Table.Td data-label={t('expectedWait')} className={classes.right}>
                  {request.expected_wait_ms === null ? (
                    <span className={classes.none}>{t('unknown')}</span>
                  ) : (
                    expected(request.expected_wait_ms)
                  )}
                </Table.Td>
                <Table.Td
                  data-label={t('waitingSince')}
                  className={`${classes.right ?? ''} ${classes.whole ?? ''}`}
                >
                  <span>
                    <time
                      dateTime={new Date(request.received_at * 1000).toISOString()}
                      title={dateTime(request.received_at)}
                    >
                      {clockTime(request.received_at)}
                    </time>
                    <WaitsFor since={request.received_at} />
                  </span>
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

function WaitsFor({ since }: { since: number }) {
  return <span className={classes.reason}>{span(useServerTime() - since)}</span>
}
