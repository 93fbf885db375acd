/** Every chaos experiment, the newest first, with how its last run ended. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useExperiments, type Experiment } from '../../api/experiments'
import { useMay } from '../../api/session'
import { count, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { NewExperiment } from './NewExperiment'
import { Outcome } from './Outcome'

export function ExperimentsPage() {
  const { t } = useTranslation('experiments')
  const mayManage = useMay('experiment.manage')
  const list = useExperiments()
  const [isNew, setNew] = useState(false)
  const columns = useMemo(
    (): Column<Experiment>[] => [
      { id: 'name', header: t('name'), value: (row) => row.name, primary: true },
      { id: 'fault', header: t('fault'), value: (row) => t(`faults.${row.fault}`), width: 170 },
      {
        id: 'nodes',
        header: t('nodes'),
        value: (row) => row.nodes.length,
        cell: (row) => count(row.nodes.length),
        align: 'right',
        width: 90,
      },
      {
        id: 'outcome',
        header: t('lastRun'),
        value: (row) => row.last_verdict ?? row.last_state,
        cell: (row) => <Outcome state={row.last_state} verdict={row.last_verdict} />,
        width: 190,
      },
      {
        id: 'last',
        header: t('lastAt'),
        value: (row) => row.last_at,
        cell: (row) =>
          row.last_at === null ? '–' : <time title={exactly(row.last_at)}>{when(row.last_at)}</time>,
        width: 130,
      },
      {
        id: 'next',
        header: t('schedule'),
        value: (row) => row.every_hours,
        cell: (row) => (row.every_hours === null ? '–' : t('everyHours', { count: row.every_hours })),
        width: 130,
      },
    ],
    [t],
  )
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setNew(true)}>
            {t('new')}
          </Button>
        )
      }
    >
      <DataTable
        id="experiments"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/experiments/$experimentId', params: { experimentId: row.id } })}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
      {isNew && <NewExperiment onClose={() => setNew(false)} />}
    </Page>
  )
}
