/** Requests that were admitted and are not settled. */
import { Table } from '@mantine/core'
import type { RunningRequest } from '../../live/types'
import { count, duration } from '../../ui/format'
import { RequestLink } from '../requests/RequestLink'
import classes from '../requests/RequestTable.module.css'

interface RunningTableProps {
  requests: readonly RunningRequest[]
  total: number
  /** The server's time now, Unix seconds. */
  at: number
}

export function RunningTable({ requests, total, at }: RunningTableProps) {
  if (total === 0) return <p className={classes.idle}>No request is running.</p>
  return (
    <>
      <div
        className={classes.scroll}
        tabIndex={0}
        role="region"
        aria-label="Table of the requests running now"
      >
        <Table className={classes.table} verticalSpacing={7} horizontalSpacing={18}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Model</Table.Th>
              <Table.Th>Node</Table.Th>
              <Table.Th>API</Table.Th>
              <Table.Th className={classes.right}>For</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {requests.map((request) => (
              <Table.Tr key={request.request} className={classes.row}>
                <Table.Td data-label="Model" className={classes.strong}>
                  <RequestLink request={request.request} model={request.model} />
                </Table.Td>
                <Table.Td data-label="Node" className={classes.wide}>
                  {request.node_name}
                </Table.Td>
                <Table.Td data-label="API" className={`${classes.mono ?? ''} ${classes.wide ?? ''}`}>
                  {request.api}
                </Table.Td>
                <Table.Td data-label="For" className={classes.right}>
                  {duration(Math.max(0, at - request.received_at) * 1000)}
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
