/** How long the audit trail is kept, what holds it, who is erased from it, and which syslog servers are given it. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useAuditRetention,
  useAuditStreams,
  useKeepingActs,
  useLegalHolds,
  type AuditStream,
  type LegalHold,
} from '../../api/auditKeeping'
import { useMay } from '../../api/session'
import { act, attempt } from '../../ui/act'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { count, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { EraseDialog, HoldDialog, StreamDialog } from './KeepingDialogs'

export function KeepingPage() {
  const { t } = useTranslation('audit')
  const mayManage = useMay('audit.manage')
  return (
    <Page title={t('keeping')} lead={t('keepingLead')}>
      <Retention mayManage={mayManage} />
      <Holds mayManage={mayManage} />
      {mayManage && <Streams />}
    </Page>
  )
}

function Retention({ mayManage }: { mayManage: boolean }) {
  const { t } = useTranslation('audit')
  const retention = useAuditRetention('tenant')
  const [erasing, setErasing] = useState(false)
  return (
    <Loaded query={retention}>
      {(found) => (
        <Card title={t('kept')}>
          <Facts>
            <Fact name={t('keptFor')}>
              {found.days === 0 ? t('keptForever') : t('days', { count: found.days })}
            </Fact>
            <Fact name={t('heldNow')}>{t(found.held ? 'yes' : 'no')}</Fact>
            <Fact name={t('lastDropped')}>
              {found.checkpoints[0] === undefined ? t('nothingDropped') : when(found.checkpoints[0].at)}
            </Fact>
          </Facts>
          {mayManage && (
            <Button mt="md" variant="default" size="sm" onClick={() => setErasing(true)}>
              {t('erase')}
            </Button>
          )}
          {erasing && <EraseDialog onClose={() => setErasing(false)} />}
        </Card>
      )}
    </Loaded>
  )
}

function Holds({ mayManage }: { mayManage: boolean }) {
  const { t } = useTranslation('audit')
  const list = useLegalHolds('tenant')
  const { release } = useKeepingActs()
  const [placing, setPlacing] = useState(false)
  const columns = useMemo(
    (): Column<LegalHold>[] => [
      { id: 'reason', header: t('reason'), value: (row) => row.reason, primary: true },
      { id: 'by', header: t('placedBy'), value: (row) => row.placed_by, width: 220 },
      {
        id: 'placed',
        header: t('placed'),
        value: (row) => row.placed_at,
        cell: (row) => <time title={exactly(row.placed_at)}>{when(row.placed_at)}</time>,
        width: 150,
      },
      {
        id: 'released',
        header: t('released'),
        value: (row) => row.released_at,
        cell: (row) =>
          row.released_at === null ? <Tag tone="warn">{t('inForce')}</Tag> : when(row.released_at),
        width: 150,
      },
    ],
    [t],
  )
  return (
    <Card
      title={t('holds')}
      aside={
        mayManage ? (
          <Button size="sm" leftSection={<IconPlus size={16} />} onClick={() => setPlacing(true)}>
            {t('placeHold')}
          </Button>
        ) : undefined
      }
    >
      <DataTable
        id="audit-holds"
        label={t('holds')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        rowActions={(row) =>
          mayManage && row.released_at === null ? (
            <Button
              size="compact-sm"
              variant="default"
              onClick={() =>
                void act(
                  {
                    title: t('releaseTitle'),
                    consequence: t('releaseText', { reason: row.reason }),
                    action: t('release'),
                  },
                  () => release.mutateAsync(row.id),
                  t('releasedSaid'),
                )
              }
            >
              {t('release')}
            </Button>
          ) : null
        }
        empty={<PageEmpty title={t('noHold')}>{t('noHoldText')}</PageEmpty>}
      />
      {placing && <HoldDialog onClose={() => setPlacing(false)} />}
    </Card>
  )
}

type Condition = 'arrives' | 'failing' | 'off' | 'new'

function conditionOf(row: AuditStream): Condition {
  if (!row.enabled) return 'off'
  if (row.failures > 0) return 'failing'
  return row.succeeded_at === null ? 'new' : 'arrives'
}

const TONE = { arrives: 'ok', failing: 'bad', off: 'plain', new: 'plain' } as const

function Streams() {
  const { t } = useTranslation('audit')
  const list = useAuditStreams()
  const { enable, remove } = useKeepingActs()
  const [adding, setAdding] = useState(false)
  const columns = useMemo(
    (): Column<AuditStream>[] => [
      { id: 'name', header: t('name'), value: (row) => row.name, primary: true, width: 180 },
      { id: 'host', header: t('server'), value: (row) => `${row.host}:${row.port}`, width: 195 },
      { id: 'form', header: t('form'), value: (row) => row.form.toUpperCase(), width: 90 },
      {
        id: 'state',
        header: t('state'),
        value: conditionOf,
        cell: (row) => <Tag tone={TONE[conditionOf(row)]}>{t(`stream.${conditionOf(row)}`)}</Tag>,
        width: 130,
      },
      {
        id: 'waiting',
        header: t('waiting'),
        value: (row) => row.waiting,
        cell: (row) => count(row.waiting),
        align: 'right',
        width: 100,
      },
      {
        id: 'missed',
        header: t('missed'),
        value: (row) => row.missed,
        cell: (row) => count(row.missed),
        align: 'right',
        width: 100,
      },
      { id: 'error', header: t('error'), value: (row) => row.error },
    ],
    [t],
  )
  return (
    <Card
      title={t('streams')}
      aside={
        <Button size="sm" leftSection={<IconPlus size={16} />} onClick={() => setAdding(true)}>
          {t('addStream')}
        </Button>
      }
    >
      <DataTable
        id="audit-streams"
        label={t('streams')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        toneOf={(row) => (conditionOf(row) === 'failing' ? 'bad' : undefined)}
        rowActions={(row) => (
          <>
            <Button
              size="compact-sm"
              variant="default"
              onClick={() =>
                void attempt(
                  () => enable.mutateAsync({ id: row.id, enabled: !row.enabled }),
                  t(row.enabled ? 'pausedSaid' : 'resumedSaid', { name: row.name }),
                )
              }
            >
              {t(row.enabled ? 'pause' : 'resume')}
            </Button>
            <Button
              size="compact-sm"
              variant="subtle"
              color="red"
              onClick={() =>
                void act(
                  {
                    title: t('deleteStream', { name: row.name }),
                    consequence: t('deleteStreamText'),
                    action: t('delete'),
                    danger: true,
                  },
                  () => remove.mutateAsync(row.id),
                  t('deletedSaid', { name: row.name }),
                )
              }
            >
              {t('delete')}
            </Button>
          </>
        )}
        rowActionsWidth={170}
        empty={<PageEmpty title={t('noStream')}>{t('noStreamText')}</PageEmpty>}
      />
      {adding && <StreamDialog onClose={() => setAdding(false)} />}
    </Card>
  )
}
