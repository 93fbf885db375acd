/** One model: what it is, how it is served, how it did, its names and what stands in for it, and each of its replicas. */
import { Button, Progress } from '@mantine/core'
import { Link, useParams } from '@tanstack/react-router'
import { useMemo, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useModel, type Model, type Replica } from '../../api/models'
import { pauseTransfer } from '../../api/replication'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { CopyText } from '../../ui/CopyText'
import { Findings } from '../../ui/Findings'
import { bytes, bytesOf, dateTime, duration, exactly, percent, rate, span, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag, type Tone } from '../../ui/Tag'
import { Evaluations } from '../evaluations/Evaluations'
import { Aliases } from './Aliases'
import { Fallbacks } from './Fallbacks'
import { linesOf } from './labels'
import { ModelActs } from './ModelActs'
import classes from './ModelPage.module.css'
import { ModelMemory } from './ModelMemory'
import { ModelTraffic } from './ModelTraffic'
import { Replication } from './Replication'
import { Rollouts } from './Rollouts'
import { Scaling } from './Scaling'
import { useActs } from './useActs'
import { Moves, Versions } from './Versions'

type State = NonNullable<Replica['state']>
const TONE: Record<State, Tone> = {
  ready: 'ok',
  present: 'ok',
  failed: 'bad',
  lost: 'bad',
  fetching: 'accent',
  pending: 'plain',
}

export function ModelPage() {
  const { id } = useParams({ from: '/inside/models/$id' })
  return <Loaded query={useModel(id)}>{(model) => <Shown model={model} />}</Loaded>
}

function Shown({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const { profile } = model
  return (
    <Page
      title={model.name}
      documentTitle={`${model.name} · ${t('title')}`}
      beside={model.shared ? <Tag tone="accent">{t('everybody')}</Tag> : undefined}
      actions={<ModelActs model={model} />}
    >
      {model.health.findings.length > 0 && (
        <Card title={t('problems')} flush>
          <Findings findings={model.health.findings} />
        </Card>
      )}
      <Card title={t('facts')}>
        <dl className={classes.facts}>
          <Fact name={t('size')}>{bytes(model.size)}</Fact>
          <Fact name={t('origin')}>{t(model.origin === 'hosted' ? 'hosted' : 'external')}</Fact>
          <Fact name={t('changed')}>{dateTime(model.moved_at)}</Fact>
          <Fact name={t('version')}>
            <code className={classes.code}>{model.version.slice(0, 19)}…</code>
            <CopyText text={model.version} label={t('copyVersion')} size={24} />
          </Fact>
          <Fact name={t('strategy')}>{t(`strategies.${profile.strategy ?? 'balanced'}`)}</Fact>
          <Fact name={t('context')}>{profile.num_ctx ?? t('engineDefault')}</Fact>
          <Fact name={t('firstByte')}>
            {profile.first_byte_seconds === undefined ? '–' : duration(profile.first_byte_seconds * 1000)}
          </Fact>
          <Fact name={t('regions')}>{(profile.regions ?? []).join(', ') || t('anywhere')}</Fact>
          <Fact name={t('labels')}>{linesOf(profile.labels ?? {}) || t('anyNode')}</Fact>
          <Fact name={t('tolerations')}>{(profile.tolerations ?? []).join(', ') || t('noToleration')}</Fact>
        </dl>
      </Card>
      <ModelTraffic name={model.name} />
      <div className={classes.beside}>
        <Aliases model={model} />
        <Fallbacks model={model} />
      </div>
      <Rollouts model={model} />
      <Moves model={model} />
      <Versions model={model} />
      <Evaluations model={model.name.slice(0, model.name.lastIndexOf(':'))} />
      <ModelMemory model={model} />
      <Scaling model={model} />
      <Replication model={model} />
      <Replicas model={model} />
    </Page>
  )
}

function Replicas({ model }: { model: Model }) {
  const { t, act } = useActs(model)
  const mayManage = useMay('model.manage')
  const pause = (replica: Replica) => {
    const what = replica.paused ? 'resume' : 'pause'
    return act(
      {
        title: t(`replication.${what}Title`, { node: replica.node_name }),
        consequence: t(`replication.${what}Text`),
        action: t(`replication.${what}`),
      },
      () => pauseTransfer(model.id, replica.node, what === 'pause'),
    )
  }
  const columns = useMemo(
    (): Column<Replica>[] => [
      {
        id: 'node',
        header: t('node'),
        value: (replica) => replica.node_name,
        cell: (replica) => (
          <Link to="/nodes/$nodeId" params={{ nodeId: replica.node }}>
            {replica.node_name}
          </Link>
        ),
        primary: true,
      },
      {
        id: 'state',
        header: t('state'),
        value: (replica) => replica.state ?? '',
        cell: (replica) => (
          <Tag tone={replica.paused ? 'plain' : TONE[replica.state ?? 'pending']}>
            {replica.paused ? t('replication.paused') : t(`replica.${replica.state ?? 'pending'}`)}
          </Tag>
        ),
        width: 140,
      },
      {
        id: 'desired',
        header: t('desired'),
        value: (replica) => t(`wanted.${replica.desired ?? 'any'}`),
        width: 160,
      },
      {
        id: 'progress',
        header: t('fetched'),
        value: (replica) => replica.bytes_done,
        cell: (replica) => <Fetched replica={replica} total={model.size} />,
        width: 220,
      },
      { id: 'reason', header: t('reason'), value: (replica) => replica.reason ?? '', hidden: true },
      { id: 'error', header: t('error'), value: (replica) => replica.error },
      {
        id: 'changed',
        header: t('changed'),
        value: (replica) => replica.changed_at,
        cell: (replica) => <time title={exactly(replica.changed_at)}>{when(replica.changed_at)}</time>,
        width: 150,
      },
      ...(mayManage
        ? [
            {
              id: 'act',
              header: t('act'),
              value: () => '',
              cell: (replica: Replica) =>
                replica.paused || replica.state === 'fetching' || replica.state === 'failed' ? (
                  <Button size="compact-xs" variant="default" onClick={() => void pause(replica)}>
                    {t(replica.paused ? 'replication.resume' : 'replication.pause')}
                  </Button>
                ) : null,
              width: 120,
            },
          ]
        : []),
    ],
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [t, model.id, model.size, mayManage],
  )
  return (
    <DataTable
      id="replicas"
      label={t('replicas')}
      columns={columns}
      list={{ rows: model.replicas }}
      idOf={(replica) => replica.node}
      toneOf={(replica) => (replica.state === 'failed' ? 'bad' : undefined)}
      live
      empty={<PageEmpty title={t('noReplica')} />}
    />
  )
}

function Fetched({ replica, total }: { replica: Replica; total: number }) {
  const { t } = useTranslation('models')
  if (replica.state !== 'fetching') return null
  const fetched = replica.bytes_done ?? 0
  const speed = replica.bytes_per_second ?? 0
  const peers = replica.bytes_of_peers ?? 0
  const text = bytesOf(fetched, total)
  return (
    <div>
      <span className={classes.fetched}>
        <Progress value={percent(fetched, total)} flex={1} aria-label={text} />
        <span>{text}</span>
      </span>
      <span className={classes.muted}>
        {[
          ...(speed > 0
            ? [t('replication.left', { speed: rate(speed), time: span((total - fetched) / speed) })]
            : []),
          ...(peers > 0 ? [t('replication.ofPeers', { bytes: bytes(peers) })] : []),
        ].join(' · ')}
      </span>
    </div>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
