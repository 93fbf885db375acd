/** Requests that wait for a free slot, the next first. */
import { Table } from '@mantine/core'
import type { WaitingRequest } from '../../live/types'
import { clockTime, count, dateTime, expected, span } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { RequestLink } from '../requests/RequestLink'
import { Tag, type Tone } from '../../ui/Tag'
import classes from '../requests/RequestTable.module.css'

const PRIORITY: Record<WaitingRequest['priority'], Tone> = { high: 'accent', normal: 'plain', low: 'plain' }

interface WaitingTableProps {
  requests: readonly WaitingRequest[]
  total: number
  /** The server's time now, Unix seconds. */
  at: number
}

export function WaitingTable({ requests, total, at }: WaitingTableProps) {
  if (total === 0) return <p className={classes.idle}>No request is waiting.</p>
  return (
    <>
      <div className={classes.scroll} tabIndex={0} role="region" aria-label="Table of the requests that wait">
        <Table className={classes.table} verticalSpacing={7} horizontalSpacing={12}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Model</Table.Th>
              <Table.Th>Priority</Table.Th>
              <Table.Th className={classes.right}>Place in line</Table.Th>
              <Table.Th className={classes.right}>Expected wait</Table.Th>
              <Table.Th className={classes.right}>Waiting since</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {requests.map((request) => (
              <Table.Tr key={request.request} className={classes.row}>
                <Table.Td data-label="Model" className={classes.strong}>
                  <RequestLink request={request.request} model={request.model} />
                </Table.Td>
                <Table.Td data-label="Priority">
                  <Tag tone={PRIORITY[request.priority]}>{request.priority}</Tag>
                </Table.Td>
                <Table.Td data-label="Place in line" className={classes.right}>
                  {count(request.position)}
                </Table.Td>
                <Table.Td data-label="Expected wait" className={classes.right}>
                  {request.expected_wait_ms === null ? <NoData /> : expected(request.expected_wait_ms)}
                </Table.Td>
                <Table.Td
                  data-label="Waiting since"
                  className={`${classes.right ?? ''} ${classes.whole ?? ''}`}
                >
                  <span>
                    <time
                      dateTime={new Date(request.received_at * 1000).toISOString()}
                      title={dateTime(request.received_at)}
                    >
                      {clockTime(request.received_at)}
                    </time>
                    <span className={classes.reason}>{span(at - request.received_at)}</span>
                  </span>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
      {total > requests.length && <p className={classes.more}>and {count(total - requests.length)} more</p>}
    </>
  )
}
