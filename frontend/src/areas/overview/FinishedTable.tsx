/** The last settled requests, newest first. */
import { Button, Table } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { memo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { FinishedRequest } from '../../live/types'
import { CopyText } from '../../ui/CopyText'
import { clockTime, count, dateTime, duration } from '../../ui/format'
import { ScrollBox } from '../../ui/ScrollBox'
import { Outcome } from '../requests/Outcome'
import { RequestLink } from '../requests/RequestLink'
import classes from '../requests/RequestTable.module.css'

const FIRST_SHOWN = 20
const FIRST_SHOWN_NARROW = 8

export function FinishedTable({ requests }: { requests: readonly FinishedRequest[] }) {
  const { t } = useTranslation('overview')
  const [all, setAll] = useState(false)
  const first = useMediaQuery('(width <= 700px)') ? FIRST_SHOWN_NARROW : FIRST_SHOWN
  const shown = all ? requests : requests.slice(0, first)
  return (
    <>
      <ScrollBox label={t('lastTable')}>
        <Table className={classes.table} verticalSpacing={7} horizontalSpacing={6}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('time')}</Table.Th>
              <Table.Th>{t('model')}</Table.Th>
              <Table.Th>{t('node')}</Table.Th>
              <Table.Th>{t('api')}</Table.Th>
              <Table.Th className={classes.right}>{t('tokensIn')}</Table.Th>
              <Table.Th className={classes.right}>{t('tokensOut')}</Table.Th>
              <Table.Th className={classes.right}>{t('queue')}</Table.Th>
              <Table.Th className={classes.right}>{t('firstToken')}</Table.Th>
              <Table.Th className={classes.right}>{t('duration')}</Table.Th>
              <Table.Th>{t('outcome')}</Table.Th>
              <Table.Th>{t('request')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {shown.map((request) => (
              <Row key={request.request} request={request} />
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
      {requests.length > first && (
        <div className={classes.more}>
          <Button
            variant="subtle"
            size="compact-sm"
            onClick={() => {
              setAll(!all)
            }}
          >
            {t('showLast', { count: all ? first : requests.length })}
          </Button>
        </div>
      )}
    </>
  )
}

const Row = memo(function Row({ request }: { request: FinishedRequest }) {
  const { t } = useTranslation('overview')
  return (
    <Table.Tr className={classes.row}>
      <Table.Td data-label={t('time')}>
        <time
          dateTime={new Date(request.received_at * 1000).toISOString()}
          title={dateTime(request.received_at)}
        >
          {clockTime(request.received_at)}
        </time>
      </Table.Td>
      <Table.Td data-label={t('model')} className={`${classes.strong ?? ''} ${classes.cut ?? ''}`}>
        <RequestLink request={request.request} model={request.model} />
      </Table.Td>
      <Table.Td data-label={t('node')} className={classes.wide}>
        {request.node_name === '' ? '–' : request.node_name}
      </Table.Td>
      <Table.Td data-label={t('api')} className={`${classes.mono ?? ''} ${classes.wide ?? ''}`}>
        {request.api}
      </Table.Td>
      <Table.Td data-label={t('tokensIn')} className={classes.right}>
        {count(request.prompt_tokens)}
      </Table.Td>
      <Table.Td data-label={t('tokensOut')} className={classes.right}>
        {count(request.completion_tokens)}
      </Table.Td>
      <Table.Td data-label={t('queue')} className={classes.right}>
        {request.queue_ms === null ? '–' : duration(request.queue_ms)}
      </Table.Td>
      <Table.Td data-label={t('firstToken')} className={classes.right}>
        {request.first_token_ms === null ? '–' : duration(request.first_token_ms)}
      </Table.Td>
      <Table.Td data-label={t('duration')} className={classes.right}>
        {duration(request.duration_ms)}
      </Table.Td>
      <Table.Td data-label={t('outcome')} className={classes.outcome} data-failed={request.error !== ''}>
        <Outcome outcome={request.outcome} error={request.error} />
      </Table.Td>
      <Table.Td data-label={t('request')} className={classes.id}>
        <span className={classes.mono} title={request.request}>
          …{request.request.slice(-8)}
        </span>
        <CopyText text={request.request} label={t('copyRequest', { id: request.request })} size={24} />
      </Table.Td>
    </Table.Tr>
  )
})
