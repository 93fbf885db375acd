/** Every try of a request, the first one first. */
import { Table } from '@mantine/core'
import type { Route } from '../../api/requests'
import { clockTime, dateTime } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { AHEAD } from './reasons'
import { Tag } from '../../ui/Tag'
import classes from './RequestTable.module.css'

/** What ended a try that no error ended. */
const ENDED: Readonly<Record<string, string>> = { ok: 'its answer', cancelled: 'its cancellation' }

interface AttemptsProps {
  attempts: NonNullable<Route['attempts']>
  /** How the request itself ended. */
  outcome: string
}

export function Attempts({ attempts, outcome }: AttemptsProps) {
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="Table of the tries">
      <Table className={classes.table} verticalSpacing={7} horizontalSpacing={18}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Node</Table.Th>
            <Table.Th>Why this node</Table.Th>
            <Table.Th className={classes.right}>Given at</Table.Th>
            <Table.Th className={classes.right}>Begun at</Table.Th>
            <Table.Th>Ended by</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {attempts.map((attempt) => (
            <Table.Tr key={`${attempt.node} ${attempt.given_at}`}>
              <Table.Td data-label="Node" className={classes.strong}>
                {attempt.node_name}
              </Table.Td>
              <Table.Td data-label="Why this node" className={classes.wide}>
                {AHEAD[attempt.reason] ?? attempt.reason}
              </Table.Td>
              <Table.Td data-label="Given at" className={classes.right}>
                <Moment at={attempt.given_at} />
              </Table.Td>
              <Table.Td data-label="Begun at" className={classes.right}>
                {attempt.started_at == null ? <NoData /> : <Moment at={attempt.started_at} />}
              </Table.Td>
              <Table.Td data-label="Ended by" className={classes.wide}>
                {attempt.error ? <Tag tone="bad">{attempt.error}</Tag> : (ENDED[outcome] ?? <NoData />)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

function Moment({ at }: { at: string }) {
  return (
    <time dateTime={at} title={dateTime(at)}>
      {clockTime(Date.parse(at) / 1000)}
    </time>
  )
}
