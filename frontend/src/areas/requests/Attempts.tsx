/** Every try of a request, the first one first. */
import { Table } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Route } from '../../api/requests'
import { clockTime, dateTime } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { ahead } from './reasons'
import { ScrollBox } from '../../ui/ScrollBox'
import { Tag } from '../../ui/Tag'
import classes from './RequestTable.module.css'

interface AttemptsProps {
  attempts: NonNullable<Route['attempts']>
  /** How the request itself ended. */
  outcome: string
}

export function Attempts({ attempts, outcome }: AttemptsProps) {
  const { t } = useTranslation('requests')
  return (
    <ScrollBox label={t('tries.table')}>
      <Table className={classes.table} verticalSpacing={7} horizontalSpacing={18}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('column.node')}</Table.Th>
            <Table.Th>{t('tries.why')}</Table.Th>
            <Table.Th className={classes.right}>{t('tries.given')}</Table.Th>
            <Table.Th className={classes.right}>{t('tries.begun')}</Table.Th>
            <Table.Th>{t('tries.ended')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {attempts.map((attempt) => (
            <Table.Tr key={`${attempt.node} ${attempt.given_at}`}>
              <Table.Td data-label={t('column.node')} className={classes.strong}>
                {attempt.node_name}
              </Table.Td>
              <Table.Td data-label={t('tries.why')} className={classes.wide}>
                {ahead(t, attempt.reason)}
              </Table.Td>
              <Table.Td data-label={t('tries.given')} className={classes.right}>
                <Moment at={attempt.given_at} />
              </Table.Td>
              <Table.Td data-label={t('tries.begun')} className={classes.right}>
                {attempt.started_at == null ? <NoData /> : <Moment at={attempt.started_at} />}
              </Table.Td>
              <Table.Td data-label={t('tries.ended')} className={classes.wide}>
                {attempt.error ? (
                  <Tag tone="bad">{attempt.error}</Tag>
                ) : outcome === 'ok' || outcome === 'cancelled' ? (
                  t(`tries.endedBy.${outcome}`)
                ) : (
                  <NoData />
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollBox>
  )
}

function Moment({ at }: { at: string }) {
  return (
    <time dateTime={at} title={dateTime(at)}>
      {clockTime(Date.parse(at) / 1000)}
    </time>
  )
}
