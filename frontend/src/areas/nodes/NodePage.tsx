/** One node: how it is and why, what it runs and ran, its past, its log, and what can be done with it. */
import { useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { telemetryOf, useNode, type Node } from '../../api/nodes'
import { useMay } from '../../api/session'
import type { NodeView } from '../../live/topics'
import { useClock, useTopic } from '../../live/useLive'
import { Card, Empty } from '../../ui/Card'
import { Findings } from '../../ui/Findings'
import { count, dateTime, plainId } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { FinishedTable } from '../overview/FinishedTable'
import { RunningTable } from '../overview/RunningTable'
import { DrainProgress } from './DrainProgress'
import { NodeActs } from './NodeActs'
import { NodeCard } from './NodeCard'
import { NodeLog } from './NodeLog'
import classes from './NodePage.module.css'
import { NodeMemory } from './NodeMemory'
import { NodePast } from './NodePast'
import { absent, type NodeCondition } from './rows'
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
  const allowed = telemetryOf(node)?.faults ?? []
  return (
    <Page
      title={node.name}
      documentTitle={`${node.name} · ${t('title')}`}
      beside={<Tag tone={TONE[condition]}>{t(`common:health.${condition}`)}</Tag>}
      lead={t('joined', { when: dateTime(node.joined_at), version: node.agent_version || '–' })}
      actions={<NodeActs node={node} />}
    >
      {node.health.findings.length > 0 && (
        <Card title={t('why')} flush>
          <Findings findings={node.health.findings} />
        </Card>
      )}
      {node.taints.length > 0 && (
        <Card title={t('taints')}>
          <p className={classes.taints}>
            {node.taints.map((taint) => (
              <Tag key={taint} tone="warn">
                {taint}
              </Tag>
            ))}
          </p>
        </Card>
      )}
      {allowed.length > 0 && (
        <Card title={t('faults')}>
          <p className={classes.taints}>
            {allowed.map((fault) => (
              <Tag key={fault} tone="plain">
                {t(`fault.${fault}`)}
              </Tag>
            ))}
          </p>
        </Card>
      )}
      {node.drain !== null && <DrainProgress drain={node.drain} />}
      <Now node={node} />
      <NodeMemory id={node.id} />
      <NodePast node={node} />
      {mayManage && <NodeLog id={node.id} />}
    </Page>
  )
}

function conditionOf(node: Node): NodeCondition {
  if (!node.online) return absent(node.lifecycle)
  if (node.health.state === 'healthy' && !node.schedulable)
    return node.lifecycle === 'draining' ? 'draining' : 'cordoned'
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
