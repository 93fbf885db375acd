/** The way of one request: how long each part took, which nodes were ranked, and which tries it had. */
import { Alert, Button, Loader } from '@mantine/core'
import { Link, useParams } from '@tanstack/react-router'
import { type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useRequest, type RequestDetail, type Route } from '../../api/requests'
import { useMay } from '../../api/session'
import { Attempts } from './Attempts'
import { Candidates } from './Candidates'
import { Card } from '../../ui/Card'
import { CopyText } from '../../ui/CopyText'
import { clockTime, count, dateTime, duration, expected, money, plainId } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import { NoData } from '../../ui/NoData'
import { Outcome } from './Outcome'
import { PromptCard } from './PromptCard'
import { ruledOut } from './reasons'
import { useDocumentTitle } from '../../ui/Page'
import { Tag } from '../../ui/Tag'
import { Tile } from '../../ui/Tile'
import { Timeline } from './Timeline'
import { useCancel } from './useCancel'
import type { FinishedRequest } from '../../live/types'
import classes from './RequestPage.module.css'

export function RequestPage() {
  const { id } = useParams({ from: '/inside/requests/$id' })
  const { t } = useTranslation(['requests', 'common'])
  const found = useRequest(id)
  useDocumentTitle(t('request'))
  return (
    <div className={classes.page}>
      <Link to="/requests" className={classes.back}>
        <Icon name="back" size={16} /> {t('title')}
      </Link>
      {found.data === undefined && <h1 className="sr-only">{t('request')}</h1>}
      {found.isPending && (
        <div className={classes.pending} aria-busy="true">
          <Loader size="sm" aria-hidden="true" />
          <p role="status">{t('common:state.pending')}</p>
        </div>
      )}
      {found.error !== null && (
        <Alert color="red" variant="light" icon={<Icon name="alert" />}>
          {sentence(found.error)}
        </Alert>
      )}
      {found.data !== undefined && <Way request={found.data} read={found.dataUpdatedAt} />}
    </div>
  )
}

/** `read` is when this was read, in milliseconds: until then a phase that goes on has lasted. */
function Way({ request, read }: { request: RequestDetail; read: number }) {
  const { t } = useTranslation('requests')
  const cancel = useCancel()
  const mayRead = useMay('prompt.view') && request.prompt_kept
  const mayCancel = useMay('request.manage') && request.state !== 'settled'
  return (
    <>
      <div>
        <div className={classes.head}>
          <h1 className={classes.title}>{request.model === '' ? t('column.noModel') : request.model}</h1>
          <State request={request} />
          {mayCancel && (
            <Button
              variant="light"
              color="red"
              size="xs"
              className={classes.cancel}
              onClick={() => void cancel({ request: plainId(request.request), model: request.model })}
            >
              {t('cancel.action')}
            </Button>
          )}
        </div>
        <p className={classes.id}>
          <span className={classes.mono}>{plainId(request.request)}</span>
          <CopyText text={plainId(request.request)} label={t('copyId')} size={24} />
        </p>
      </div>
      {request.cancelled_by !== '' && (
        <p className={classes.text}>{t('cancelledBy', { who: request.cancelled_by })}</p>
      )}
      {request.shadow_of != null && (
        <p className={classes.text}>
          {t('shadowOf')}{' '}
          <Link to="/requests/$id" params={{ id: plainId(request.shadow_of) }} className={classes.mono}>
            {plainId(request.shadow_of)}
          </Link>
          {request.same_answer != null && <> · {t(request.same_answer ? 'sameAnswer' : 'otherAnswer')}</>}
        </p>
      )}
      {request.why !== '' && (
        <Card title={t('why')}>
          <p className={classes.why}>{request.why}</p>
        </Card>
      )}
      <Times request={request} />
      {request.timeline.length > 0 && (
        <Card title={t('timeline')}>
          <Timeline steps={request.timeline} now={read} />
        </Card>
      )}
      <Card title={t('request')}>
        <Facts request={request} />
      </Card>
      {mayRead && <PromptCard key={request.request} request={request.request} />}
      {request.route == null ? (
        <Card title={t('route')} flush>
          <p className={classes.none}>{t(request.state === 'settled' ? 'noRoute' : 'noRouteYet')}</p>
        </Card>
      ) : (
        <Routed route={request.route} node={request.node} outcome={request.outcome ?? ''} />
      )}
    </>
  )
}

function Routed({ route, node, outcome }: { route: Route; node: string | null; outcome: string }) {
  const { t } = useTranslation('requests')
  const { attempts = [], candidates = [], ruled_out = {}, strategy = '' } = route
  const left = Object.entries(ruled_out)
  return (
    <>
      <Card title={t('tries.title')} flush>
        {attempts.length > 0 ? (
          <Attempts attempts={attempts} outcome={outcome} />
        ) : (
          <p className={classes.none}>{t('tries.none')}</p>
        )}
      </Card>
      <Card
        title={t('candidates.title')}
        aside={strategy === '' ? undefined : t('candidates.order', { strategy })}
        flush
      >
        {candidates.length > 0 ? (
          <Candidates candidates={candidates} chosen={node} />
        ) : (
          <p className={classes.none}>{t('candidates.none')}</p>
        )}
      </Card>
      <Card title={t('ruledOut')}>
        {left.length > 0 ? (
          <dl className={classes.facts}>
            {left.map(([name, reason]) => (
              <Fact key={name} name={name}>
                {ruledOut(t, reason)} <span className={classes.code}>{reason}</span>
              </Fact>
            ))}
          </dl>
        ) : (
          <p className={classes.text}>{t('noneRuledOut')}</p>
        )}
      </Card>
    </>
  )
}

function State({ request }: { request: RequestDetail }) {
  const { t } = useTranslation('requests')
  if (request.state === 'waiting') return <Tag tone="warn">{t('state.waiting')}</Tag>
  if (request.state === 'running') return <Tag tone="accent">{t('state.running')}</Tag>
  return (
    <span>
      <Outcome outcome={request.outcome as FinishedRequest['outcome']} error={request.error} />
    </span>
  )
}

function Times({ request }: { request: RequestDetail }) {
  const { t } = useTranslation('requests')
  const ms = (value: number | null | undefined): ReactNode => (value == null ? <NoData /> : duration(value))
  const number = (value: number | null | undefined): ReactNode => (value == null ? <NoData /> : count(value))
  const waited = request.route?.waiting
  return (
    <section className={classes.tiles} aria-label={t('times')}>
      {request.state === 'waiting' ? (
        <>
          <Tile name={t('place')} value={number(request.position)} />
          <Tile
            name={t('expectedWait')}
            value={request.expected_wait_ms == null ? <NoData /> : expected(request.expected_wait_ms)}
          />
          <Tile name={t('waiting')} value={ms(request.queue_ms)} of={t('soFar')} />
        </>
      ) : (
        <>
          <Tile
            name={t('phase.queued')}
            value={ms(request.queue_ms)}
            of={waited == null ? undefined : t('inLine', { number: count(waited) })}
          />
          <Tile name={t('column.first')} value={ms(request.first_token_ms)} />
          <Tile
            name={t('column.took')}
            value={duration(request.duration_ms)}
            of={request.state === 'running' ? t('soFar') : undefined}
          />
          <Tile
            name={t('tokensIn')}
            value={number(request.prompt_tokens)}
            of={
              request.cached_tokens == null
                ? undefined
                : t('cached', { number: count(request.cached_tokens) })
            }
          />
          <Tile name={t('column.tokens')} value={number(request.completion_tokens)} />
        </>
      )}
    </section>
  )
}

function Facts({ request }: { request: RequestDetail }) {
  const { t } = useTranslation('requests')
  const received = Date.parse(request.received_at) / 1000
  return (
    <dl className={classes.facts}>
      <Fact name={t('column.received')}>
        <time dateTime={request.received_at} title={dateTime(received)}>
          {clockTime(received)}
        </time>
      </Fact>
      <Fact name={t('priority')}>{t(`class.${request.priority}`)}</Fact>
      <Fact name={t('column.node')}>
        {request.node_name === null || request.node_name === '' ? t('column.noNode') : request.node_name}
      </Fact>
      {request.state !== 'waiting' && <Fact name={t('tries.title')}>{count(request.attempts)}</Fact>}
      <Fact name={t('api')} mono>
        {request.api}
      </Fact>
      <Fact name={t('version')} mono>
        {request.version}
      </Fact>
      <Fact name={t('trace')} mono>
        {request.trace}
      </Fact>
      <Fact name={t('column.key')} mono={request.key_name === ''}>
        {request.key_name === '' ? plainId(request.key) : request.key_name}
      </Fact>
      {request.state === 'settled' && (
        <>
          <Fact name={t('cost')}>
            {request.cost == null ? <NoData /> : money(Number(request.cost), request.currency)}
          </Fact>
          <Fact name={t('charge')}>
            <Charge request={request} />
          </Fact>
        </>
      )}
    </dl>
  )
}

function Charge({ request }: { request: RequestDetail }) {
  const { t } = useTranslation('requests')
  if (request.charge == null) return <NoData />
  const since = request.price_since
  const said = [
    ...(request.slot_seconds == null
      ? []
      : [t('slotSeconds', { seconds: duration(request.slot_seconds * 1000) })]),
    ...(since == null ? [] : [t('priceSince', { time: dateTime(Date.parse(since) / 1000) })]),
  ]
  return (
    <>
      {money(Number(request.charge), request.charge_currency)}
      {said.length > 0 && <span className={classes.text}> ({said.join(', ')})</span>}
    </>
  )
}

function Fact({ name, mono = false, children }: { name: string; mono?: boolean; children: ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd className={mono ? classes.mono : undefined}>{children}</dd>
    </div>
  )
}

/** An id as `x-request-id` and the live page have it: the API writes it with hyphens. */
