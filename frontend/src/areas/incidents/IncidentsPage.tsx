/** Every incident, the newest first: what broke, since when, and whether anybody looks after it. */
import { Button } from '@mantine/core'
import { IconCrystalBall } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useIncidents, type Incident, type IncidentsAsked } from '../../api/incidents'
import { orderingOf } from '../../api/pages'
import { useRenewed } from '../../live/useRenewed'
import { exactly, span, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import { Choice } from '../../ui/table/Choice'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag } from '../../ui/Tag'

export function IncidentsPage() {
  const { t } = useTranslation('incidents')
  useRenewed('incidents')
  const columns = useMemo(
    (): Column<Incident>[] => [
      { id: 'kind', header: t('kind'), value: (row) => t(`kinds.${row.kind}`, { defaultValue: row.kind }), primary: true, width: 210 },
      { id: 'subject', header: t('subject'), value: (row) => row.subject_name || t(`about.${row.about}`), width: 150 },
      { id: 'state', header: t('state'), value: (row) => row.state, cell: (row) => <State incident={row} />, width: 120 },
      { id: 'text', header: t('text'), value: (row) => row.text },
      { id: 'by', header: t('by'), value: (row) => row.acknowledged_by, width: 150 },
      { id: 'took', header: t('took'), value: (row) => row.seconds, cell: (row) => row.seconds === null ? '–' : span(row.seconds), align: 'right', width: 90 },
      {
        id: 'opened',
        header: t('opened'),
        value: (row) => row.opened_at,
        cell: (row) => <time title={exactly(row.opened_at)}>{when(row.opened_at)}</time>,
        width: 120,
        orderBy: 'opened_at',
      },
    ],
    [t],
  ) // prettier-ignore
  const view = useTableState({ sort: { id: 'opened', desc: true } })
  const { text, sort, filters } = view.state
  const state = filters.state?.[0]
  const severity = filters.severity?.[0]
  const list = useIncidents({
    ordering: (orderingOf(sort, columns) ?? '-opened_at') as NonNullable<IncidentsAsked['ordering']>,
    ...(text === '' ? {} : { name: text }),
    ...(state === 'open' || state === 'closed' ? { state } : {}),
    ...(severity === 'critical' || severity === 'warning' ? { severity } : {}),
  })
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <Button
          component={Link}
          to="/incidents/predictions"
          variant="default"
          leftSection={<IconCrystalBall size={16} />}
        >
          {t('predictions')}
        </Button>
      }
    >
      <DataTable
        id="incidents"
        label={t('title')}
        columns={columns}
        list={list}
        view={view}
        live
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/incidents/$incidentId', params: { incidentId: row.id } })}
        toneOf={(row) => (row.state === 'closed' ? undefined : row.severity === 'critical' ? 'bad' : 'warn')}
        tools={
          <>
            <Choice
              view={view}
              name="state"
              label={t('state')}
              data={[
                ['open', t('open')],
                ['closed', t('closed')],
              ]}
            />
            <Choice
              view={view}
              name="severity"
              label={t('severity')}
              data={[
                ['critical', t('critical')],
                ['warning', t('warning')],
              ]}
            />
          </>
        }
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
    </Page>
  )
}

export function State({ incident }: { incident: Incident }) {
  const { t } = useTranslation('incidents')
  if (incident.state === 'closed') return <Tag tone="ok">{t('closed')}</Tag>
  return (
    <Tag tone={incident.severity === 'critical' ? 'bad' : 'warn'}>
      {incident.acknowledged_at === null ? t('open') : t('acknowledged')}
    </Tag>
  )
}
