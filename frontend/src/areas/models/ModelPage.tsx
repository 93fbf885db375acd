/** One model: what it is, how it is served, and each of its replicas. */
import { Button } from '@mantine/core'
import { IconMessages } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import { useMemo, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useModel, type Model, type Replica } from '../../api/models'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { CopyText } from '../../ui/CopyText'
import { bytes, bytesOf, dateTime, duration, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './ModelPage.module.css'

const TONE: Partial<Record<string, Tone>> = { ready: 'ok', failed: 'bad', lost: 'bad', fetching: 'accent' }

export function ModelPage() {
  const { id } = useParams({ from: '/inside/models/$id' })
  return <Loaded query={useModel(id)}>{(model) => <Shown model={model} />}</Loaded>
}

function Shown({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const mayUse = useMay('inference.use')
  const { profile } = model
  const columns = useMemo(
    (): Column<Replica>[] => [
      { id: 'node', header: t('node'), value: (replica) => replica.node_name, primary: true },
      {
        id: 'state',
        header: t('state'),
        value: (replica) => replica.state ?? '',
        cell: (replica) => <Tag tone={TONE[replica.state ?? ''] ?? 'plain'}>{replica.state ?? '–'}</Tag>,
        width: 140,
      },
      { id: 'desired', header: t('desired'), value: (replica) => replica.desired ?? '', width: 120 },
      {
        id: 'progress',
        header: t('fetched'),
        value: (replica) => replica.bytes_done,
        cell: (replica) => (replica.state === 'fetching' ? bytesOf(replica.bytes_done ?? 0, model.size) : ''),
        align: 'right',
        width: 150,
      },
      { id: 'error', header: t('error'), value: (replica) => replica.error },
      {
        id: 'changed',
        header: t('changed'),
        value: (replica) => replica.changed_at,
        cell: (replica) => <time title={exactly(replica.changed_at)}>{when(replica.changed_at)}</time>,
        width: 150,
      },
    ],
    [t, model.size],
  )
  return (
    <Page
      title={model.name}
      documentTitle={`${model.name} · ${t('title')}`}
      beside={model.shared ? <Tag tone="accent">{t('everybody')}</Tag> : undefined}
      actions={
        mayUse && (
          <Button
            variant="default"
            leftSection={<IconMessages size={16} />}
            renderRoot={(props) => (
              <Link {...props} to="/playground" search={{ model: model.name } as never} />
            )}
          >
            {t('try')}
          </Button>
        )
      }
    >
      <Card title={t('facts')}>
        <dl className={classes.facts}>
          <Fact name={t('size')}>{bytes(model.size)}</Fact>
          <Fact name={t('origin')}>{t(model.origin === 'hosted' ? 'hosted' : 'external')}</Fact>
          <Fact name={t('changed')}>{dateTime(model.moved_at)}</Fact>
          <Fact name={t('version')}>
            <code className={classes.code}>{model.version.slice(0, 19)}…</code>
            <CopyText text={model.version} label={t('copyVersion')} size={24} />
          </Fact>
          <Fact name={t('strategy')}>{profile.strategy ?? '–'}</Fact>
          <Fact name={t('context')}>{profile.num_ctx ?? t('engineDefault')}</Fact>
          <Fact name={t('firstByte')}>
            {profile.first_byte_seconds === undefined ? '–' : duration(profile.first_byte_seconds * 1000)}
          </Fact>
          <Fact name={t('regions')}>{(profile.regions ?? []).join(', ') || t('anywhere')}</Fact>
          <Fact name={t('fallbacks')}>
            {model.fallbacks.map((each) => each.model).join(', ') || t('noFallback')}
          </Fact>
        </dl>
      </Card>
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
    </Page>
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
