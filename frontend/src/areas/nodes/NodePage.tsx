/** One node: how it is and why, what it runs, its past, and what can be done with it. */
import { Button, Progress } from '@mantine/core'
import { IconDropletDown, IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react'
import { useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { telemetryOf, useNode, useRemoveNode, useSchedule, type Node } from '../../api/nodes'
import { useMay } from '../../api/session'
import type { NodeView } from '../../live/topics'
import { useClock, useTopic } from '../../live/useLive'
import { Card, Empty } from '../../ui/Card'
import { Dialog } from '../../ui/Dialog'
import { Findings } from '../../ui/Findings'
import { count, dateTime, percent, plainId, span } from '../../ui/format'
import { HistoryChart } from '../../ui/HistoryChart'
import { Page } from '../../ui/Page'
import { lineOf, Past as PastOf } from '../../ui/Past'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import { useNow } from '../../ui/useNow'
import { FinishedTable } from '../overview/FinishedTable'
import { RunningTable } from '../overview/RunningTable'
import { DrainNodes } from './DrainNodes'
import { EditNode } from './EditNode'
import { NodeCard } from './NodeCard'
import { NodeLog } from './NodeLog'
import classes from './NodePage.module.css'
import type { NodeCondition } from './rows'
import { TONE } from './tone'

export function NodePage() {
  const { nodeId } = useParams({ strict: false })
  const node = useNode(nodeId ?? '')
  return <Loaded query={node}>{(found) => <Found node={found} />}</Loaded>
}

function Found({ node }: { node: Node }) {
  const { t } = useTranslation(['nodes', 'common'])
  const condition = conditionOf(node)
  const mayManage = useMay('node.manage')
  return (
    <Page
      title={node.name}
      documentTitle={`${node.name} · ${t('title')}`}
      beside={<Tag tone={TONE[condition]}>{t(`common:health.${condition}`)}</Tag>}
      lead={t('joined', { when: dateTime(node.joined_at), version: node.agent_version || '–' })}
      actions={<Acts node={node} />}
    >
      {node.health.findings.length > 0 && (
        <Card title={t('why')} flush>
          <Findings findings={node.health.findings} />
        </Card>
      )}
      {node.drain !== null && <DrainProgress drain={node.drain} />}
      <Now node={node} />
      <Past node={node} />
      {mayManage && <NodeLog id={node.id} />}
    </Page>
  )
}

function conditionOf(node: Node): NodeCondition {
  if (!node.online) return 'silent'
  if (node.health.state === 'healthy' && !node.schedulable)
    return node.drain === null ? 'cordoned' : 'draining'
  return node.health.state
}

function Now({ node }: { node: Node }) {
  const { t } = useTranslation('nodes')
  const clock = useClock()
  const id = plainId(node.id)
  const live = useTopic('node', { ids: [id] })
  const running = useTopic('requests')
  const requests = (running?.running ?? []).filter((request) => request.node === id)
  const ended = (running?.finished ?? []).filter((request) => request.node === id)
  const said = telemetryOf(node)
  const view: NodeView = live?.get(id) ?? {
    id,
    name: node.name,
    draining: !node.schedulable,
    state: said,
    last_seen: said?.at ?? (node.last_seen_at === null ? null : Date.parse(node.last_seen_at) / 1000),
    shared: node.shared,
    region: node.region,
    labels: node.labels,
    hourly_cost: node.hourly_cost,
    heardAt: clock,
  }
  return (
    <>
      <div className={classes.now}>
        <NodeCard node={view} clock={clock} />
        <Card
          title={t('runningNow')}
          aside={requests.length === 0 ? undefined : count(requests.length)}
          flush
        >
          {requests.length === 0 ? (
            <Empty title={t('runsNothing')} />
          ) : (
            <RunningTable requests={requests} total={requests.length} />
          )}
        </Card>
      </div>
      {ended.length > 0 && (
        <Card title={t('endedHere')} flush>
          <FinishedTable requests={ended} />
        </Card>
      )}
    </>
  )
}

const perCent = (value: number): string => `${value.toFixed(0)} %`
const degrees = (value: number): string => `${value.toFixed(0)} °C`
function Past({ node }: { node: Node }) {
  const { t } = useTranslation('nodes')
  const cards = telemetryOf(node)?.gpus ?? []
  // One answer has at most twenty series.
  const names = [
    `node:${node.id}`,
    ...cards.slice(0, 16).map((card) => `gpu:${node.id}/${String(card.index)}`),
  ]
  return (
    <PastOf
      names={names}
      waits="waiting"
      more={([own, ...ofCards], step) => {
        if (own === undefined) return null
        const lines = (key: string) =>
          ofCards.map((card, place) => lineOf(card, `GPU ${String(cards[place]?.index ?? place)}`, key))
        const charts = [
          {
            title: t('host'),
            lines: [lineOf(own, t('cpu'), 'cpu_percent'), lineOf(own, t('memory'), 'memory_percent')],
            format: perCent,
            least: 100,
          },
          ...(ofCards.length === 0
            ? []
            : [
                { title: t('gpuLoad'), lines: lines('load_percent'), format: perCent, least: 100 },
                { title: t('heat'), lines: lines('temperature_celsius'), format: degrees },
              ]),
        ]
        return charts.map((chart) => <HistoryChart key={chart.title} at={own.at} step={step} {...chart} />)
      }}
    />
  )
}

function Acts({ node }: { node: Node }) {
  const { t } = useTranslation('nodes')
  const mayManage = useMay('node.manage')
  const schedule = useSchedule()
  const [opened, setOpened] = useState<'drain' | 'edit' | 'remove' | null>(null)
  if (!mayManage) return null
  const running = telemetryOf(node)?.running ?? 0
  const close = () => {
    setOpened(null)
  }
  const set = (change: { schedulable: boolean; drain_seconds?: number }, message: string) => {
    schedule.mutate(
      { id: node.id, ...change },
      {
        onSuccess: () => {
          done(message)
        },
        onError: failed,
      },
    )
  }
  return (
    <>
      {node.schedulable ? (
        <Button
          variant="default"
          loading={schedule.isPending}
          leftSection={<IconPlayerPause size={16} />}
          onClick={() => {
            set({ schedulable: false }, t('cordoned'))
          }}
        >
          {t('cordon')}
        </Button>
      ) : (
        <Button
          variant="default"
          loading={schedule.isPending}
          leftSection={<IconPlayerPlay size={16} />}
          onClick={() => {
            set({ schedulable: true }, t('resumed'))
          }}
        >
          {t('resume')}
        </Button>
      )}
      {node.drain === null && (
        <Button
          variant="default"
          leftSection={<IconDropletDown size={16} />}
          onClick={() => {
            setOpened('drain')
          }}
        >
          {t('drain')}
        </Button>
      )}
      <Button
        variant="default"
        leftSection={<IconPencil size={16} />}
        onClick={() => {
          setOpened('edit')
        }}
      >
        {t('edit')}
      </Button>
      <Button
        variant="default"
        leftSection={<IconTrash size={16} />}
        onClick={() => {
          setOpened('remove')
        }}
      >
        {t('remove')}
      </Button>
      {opened === 'drain' && (
        <DrainNodes
          count={1}
          onClose={close}
          onDrain={(seconds) => {
            set({ schedulable: false, drain_seconds: seconds }, t('drainBegun', { count: running }))
          }}
        />
      )}
      {opened === 'edit' && <EditNode node={node} onClose={close} />}
      <Remove node={node} running={running} opened={opened === 'remove'} onClose={close} />
    </>
  )
}

/** How far a drain is: of the requests that ran when it began, those that are left. */
function DrainProgress({ drain }: { drain: NonNullable<Node['drain']> }) {
  const { t } = useTranslation('nodes')
  const now = useNow()
  const { running, running_at_start: first } = drain
  const all = Math.max(first ?? 0, running ?? 0)
  const left = Date.parse(drain.until) / 1000 - now
  const text =
    running === null
      ? t('drainUnknown')
      : running === 0
        ? t('drainOver')
        : t('drainLeft', { count: running, all }) +
          (left > 0 ? ` ${t('drainEnds', { span: span(left) })}` : ` ${t('drainEnding')}`)
  return (
    <Card title={t('drainProgress')}>
      <div className={classes.form}>
        <Progress
          value={running === null ? 0 : all === 0 ? 100 : percent(all - running, all)}
          aria-label={t('drainProgress')}
        />
        <p role="status">{text}</p>
      </div>
    </Card>
  )
}

function Remove(props: { node: Node; running: number; opened: boolean; onClose: () => void }) {
  const { node, running, opened, onClose } = props
  const { t } = useTranslation(['nodes', 'common'])
  const remove = useRemoveNode()
  const navigate = useNavigate()
  return (
    <Dialog opened={opened} onClose={onClose} title={t('removeTitle', { name: node.name })}>
      <p>{running > 0 ? t('removeRunning', { count: running }) : t('removeText')}</p>
      {remove.error !== null && <p role="alert">{sentence(remove.error)}</p>}
      <div className={classes.buttons}>
        <Button variant="default" onClick={onClose}>
          {t('cancel')}
        </Button>
        <Button
          color="red"
          loading={remove.isPending}
          onClick={() => {
            remove.mutate(node.id, {
              onSuccess: () => {
                done(t('removed'))
                void navigate({ to: '/nodes' })
              },
            })
          }}
        >
          {t('removeIt')}
        </Button>
      </div>
    </Dialog>
  )
}
