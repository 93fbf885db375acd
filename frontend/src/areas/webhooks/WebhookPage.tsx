/** One webhook: how it is, what can be done with it, and the log of its deliveries. */
import { Alert, Button, Select } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useDeliveries,
  useWebhook,
  useWebhookActs,
  type Delivery,
  type DeliveryState,
  type Webhook,
} from '../../api/webhooks'
import { Card } from '../../ui/Card'
import { act } from '../../ui/act'
import { dateTime, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import { useNow } from '../../ui/useNow'
import { conditionOf, DELIVERY_TONE, TONE } from './condition'
import { DeliveryDialog } from './DeliveryDialog'
import { RotateSecret } from './RotateSecret'
import { WebhookForm } from './WebhookForm'
import classes from './WebhookPage.module.css'

const route = getRouteApi('/inside/webhooks/$webhookId')

export function WebhookPage() {
  const { webhookId } = route.useParams()
  return <Loaded query={useWebhook(webhookId)}>{(webhook) => <Shown webhook={webhook} />}</Loaded>
}

function Shown({ webhook }: { webhook: Webhook }) {
  const { t } = useTranslation('webhooks')
  const navigate = useNavigate()
  const { change, remove, test } = useWebhookActs()
  const [changing, setChanging] = useState(false)
  const [rotating, setRotating] = useState(false)
  const now = useNow()
  const condition = conditionOf(webhook)
  const told = (text: string) => ({ onSuccess: () => done(text), onError: failed })
  const end = async () => {
    if (
      await act(
        {
          title: t('removeTitle'),
          consequence: t('removeText'),
          action: t('remove'),
          danger: true,
        },
        () => remove.mutateAsync(webhook.id),
        t('removed'),
      )
    )
      await navigate({ to: '/webhooks' })
  }
  return (
    <Page
      title={new URL(webhook.url).host}
      documentTitle={`${new URL(webhook.url).host} · ${t('title')}`}
      {...(webhook.description === '' ? {} : { lead: webhook.description })}
      beside={<Tag tone={TONE[condition]}>{t(condition)}</Tag>}
      actions={
        <>
          <Button
            loading={test.isPending}
            disabled={!webhook.enabled}
            onClick={() => test.mutate(webhook.id, told(t('testSent')))}
          >
            {t('test')}
          </Button>
          <Button variant="default" onClick={() => setChanging(true)}>
            {t('edit')}
          </Button>
          <Button variant="default" onClick={() => setRotating(true)}>
            {t('rotate')}
          </Button>
          <Button
            variant="default"
            loading={change.isPending}
            onClick={() =>
              change.mutate(
                { id: webhook.id, enabled: !webhook.enabled },
                told(webhook.enabled ? t('switchedOff') : t('switchedOn')),
              )
            }
          >
            {webhook.enabled ? t('switchOff') : t('switchOn')}
          </Button>
          <Button variant="subtle" color="red" onClick={() => void end()}>
            {t('remove')}
          </Button>
        </>
      }
    >
      {webhook.disabled_reason !== '' && (
        <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} title={t('disabled')}>
          {webhook.disabled_reason}
        </Alert>
      )}
      {webhook.failing_since !== null && webhook.enabled && (
        <Alert
          color="yellow"
          variant="light"
          icon={<IconAlertTriangle size={18} />}
          title={t('failingTitle')}
        >
          {t('failingText', { since: dateTime(webhook.failing_since), count: webhook.failures })}
        </Alert>
      )}
      <Card title={t('about')}>
        <dl className={classes.facts}>
          <Fact name={t('url')}>{webhook.url}</Fact>
          <Fact name={t('events')}>
            {webhook.events.map((each) => (each === '*' ? t('everything') : each)).join(', ')}
          </Fact>
          <Fact name={t('createdBy')}>{webhook.created_by_name === '' ? '–' : webhook.created_by_name}</Fact>
          <Fact name={t('created')}>{dateTime(webhook.created_at)}</Fact>
          <Fact name={t('lastSuccess')}>
            {webhook.succeeded_at === null ? '–' : dateTime(webhook.succeeded_at)}
          </Fact>
          {webhook.rotating_until !== null && Date.parse(webhook.rotating_until) / 1000 > now && (
            <Fact name={t('rotating')}>{dateTime(webhook.rotating_until)}</Fact>
          )}
        </dl>
      </Card>
      <Log webhook={webhook} />
      {changing && <WebhookForm webhook={webhook} onClose={() => setChanging(false)} />}
      {rotating && <RotateSecret webhook={webhook} onClose={() => setRotating(false)} />}
    </Page>
  )
}

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

const STATES = ['waiting', 'delivered', 'failed'] as const satisfies readonly DeliveryState[]

function Log({ webhook }: { webhook: Webhook }) {
  const { t } = useTranslation('webhooks')
  const [state, setState] = useState<DeliveryState | undefined>()
  const [shown, setShown] = useState<string | null>(null)
  const list = useDeliveries(webhook.id, state)
  const columns = useMemo(
    (): Column<Delivery>[] => [
      { id: 'type', header: t('event'), value: (row) => row.type, primary: true },
      {
        id: 'state',
        header: t('state'),
        value: (row) => row.state,
        cell: (row) => <Tag tone={DELIVERY_TONE[row.state]}>{t(`delivery.${row.state}`)}</Tag>,
        width: 130,
      },
      { id: 'answer', header: t('answer'), value: answerOf, width: 220 },
      { id: 'tries', header: t('tries'), value: (row) => row.tries, align: 'right', width: 100 },
      {
        id: 'at',
        header: t('happened'),
        value: (row) => row.at,
        cell: (row) => <time title={exactly(row.at)}>{when(row.at)}</time>,
        width: 150,
      },
    ],
    [t],
  )
  return (
    <>
      <DataTable
        id="webhook-deliveries"
        label={t('log')}
        columns={columns}
        list={list}
        live
        idOf={(row) => row.id}
        toneOf={(row) => (row.state === 'failed' ? 'bad' : undefined)}
        tools={
          <Select
            size="xs"
            w={150}
            aria-label={t('state')}
            placeholder={t('state')}
            data={STATES.map((value) => ({ value, label: t(`delivery.${value}`) }))}
            value={state ?? null}
            clearable
            onChange={(value) => setState(value ?? undefined)}
          />
        }
        rowActions={(row) => (
          <Button
            size="compact-xs"
            variant="subtle"
            onClick={() => setShown(row.id)}
            aria-label={t('showOf', { name: row.type })}
          >
            {t('show')}
          </Button>
        )}
        empty={<PageEmpty title={t('noDelivery')}>{t('noDeliveryText')}</PageEmpty>}
      />
      {shown !== null && <DeliveryDialog webhook={webhook} delivery={shown} onClose={() => setShown(null)} />}
    </>
  )
}

/** What came of the last attempt. */
function answerOf(delivery: Delivery): string {
  const last = delivery.last
  if (last === null) return '–'
  return last.status === null ? last.error : String(last.status)
}
