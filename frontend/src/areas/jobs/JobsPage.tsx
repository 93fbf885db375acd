/** Jobs with how far they are, why they failed, and their end. */
import { Button, Progress } from '@mantine/core'
import { IconPlayerStop, IconRefresh } from '@tabler/icons-react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import {
  isOpen,
  isRetryable,
  useCancelJob,
  useJobs,
  useRetryJob,
  type Job,
  type JobsAsked,
  type JobState,
} from '../../api/jobs'
import { orderingOf } from '../../api/pages'
import { useMay } from '../../api/session'
import { useRenewed } from '../../live/useRenewed'
import { act, attempt } from '../../ui/act'
import { bytesOf, duration, exactly, percent, rate, span, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import { Choice } from '../../ui/table/Choice'
import { hiddenOf, type Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './JobsPage.module.css'

const STATES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const satisfies readonly JobState[]
const KINDS = ['pull', 'push', 'create', 'import', 'delete'] as const
const TONE: Record<JobState, Tone> = {
  waiting: 'plain',
  running: 'accent',
  done: 'ok',
  failed: 'bad',
  cancelled: 'warn',
}

export function JobsPage() {
  const { t } = useTranslation('jobs')
  const mayManage = useMay('model.manage')
  const cancel = useCancelJob()
  const retry = useRetryJob()
  useRenewed('jobs')
  const columns = useMemo(
    (): Column<Job>[] => [
      { id: 'model', header: t('model'), value: (job) => job.model, primary: true },
      { id: 'kind', header: t('kind'), value: (job) => job.kind, cell: (job) => t(job.kind), width: 110 },
      { id: 'state', header: t('state'), value: (job) => job.state, cell: (job) => <State job={job} />, width: 120 },
      { id: 'progress', header: t('progress'), value: (job) => job.bytes_done, cell: (job) => <HowFar job={job} />, width: 290 },
      { id: 'error', header: t('error'), value: (job) => job.error },
      { id: 'by', header: t('by'), value: (job) => job.actor_name, width: 160, hidden: true },
      { id: 'took', header: t('took'), value: tookOf, cell: (job) => { const took = tookOf(job); return took === null ? '–' : duration(took) }, align: 'right', width: 110, hidden: true },
      {
        id: 'created',
        header: t('created'),
        value: (job) => job.created_at,
        cell: (job) => job.created_at !== undefined && <time title={exactly(job.created_at)}>{when(job.created_at)}</time>,
        width: 150,
        orderBy: 'created_at',
      },
    ],
    [t],
  ) // prettier-ignore
  const view = useTableState({ sort: { id: 'created', desc: true }, hidden: hiddenOf(columns) })
  const { text, sort, filters } = view.state
  const list = useJobs({
    ordering: (orderingOf(sort, columns) ?? '-created_at') as NonNullable<JobsAsked['ordering']>,
    ...(text === '' ? {} : { model: text }),
    ...(filters.state?.[0] === undefined ? {} : { state: filters.state[0] }),
    ...(filters.kind?.[0] === undefined ? {} : { kind: filters.kind[0] }),
  })
  const stop = async (jobs: readonly Job[]) => {
    await act(
      {
        title: t('cancelTitle', { count: jobs.length }),
        consequence: t('cancelText'),
        action: t('cancelJob', { count: jobs.length }),
        danger: true,
      },
      () => Promise.all(jobs.map((job) => cancel.mutateAsync(job.id))),
      t('cancelDone', { count: jobs.length }),
    )
  }
  const again = async (jobs: readonly Job[]) => {
    await attempt(
      () => Promise.all(jobs.map((job) => retry.mutateAsync(job.id))),
      t('retryDone', { count: jobs.length }),
    )
  }
  return (
    <Page title={t('title')} lead={t('lead')}>
      <DataTable
        id="jobs"
        label={t('title')}
        columns={columns}
        list={list}
        view={view}
        live
        idOf={(job) => job.id}
        toneOf={(job) => (job.state === 'failed' ? 'bad' : undefined)}
        tools={
          <>
            <Choice
              view={view}
              name="state"
              label={t('state')}
              data={STATES.map((each) => [each, t(each)])}
            />
            <Choice view={view} name="kind" label={t('kind')} data={KINDS.map((each) => [each, t(each)])} />
          </>
        }
        {...(mayManage
          ? {
              acts: [
                {
                  label: t('retry'),
                  icon: IconRefresh,
                  may: (jobs: readonly Job[]) => jobs.every(isRetryable),
                  run: (jobs: readonly Job[]) => void again(jobs),
                },
                {
                  label: t('cancelSelected'),
                  icon: IconPlayerStop,
                  color: 'red',
                  may: (jobs: readonly Job[]) => jobs.every(isOpen),
                  run: (jobs: readonly Job[]) => void stop(jobs),
                },
              ],
              rowActions: (job: Job) =>
                isRetryable(job) ? (
                  <Button size="compact-xs" variant="subtle" onClick={() => void again([job])}>
                    {t('retry')}
                  </Button>
                ) : isOpen(job) ? (
                  <Button size="compact-xs" variant="subtle" color="red" onClick={() => void stop([job])}>
                    {t('cancelJob', { count: 1 })}
                  </Button>
                ) : null,
            }
          : {})}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
    </Page>
  )
}

function State({ job }: { job: Job }) {
  const { t } = useTranslation('jobs')
  const state = job.state ?? 'waiting'
  return <Tag tone={TONE[state]}>{t(state)}</Tag>
}

function HowFar({ job }: { job: Job }) {
  const { t } = useTranslation('jobs')
  const last = job.progress.at(-1)?.status ?? ''
  if (job.bytes_done == null || job.bytes_total == null || !isOpen(job))
    return <span title={last}>{last}</span>
  const text = bytesOf(job.bytes_done, job.bytes_total)
  return (
    <span className={classes.progress}>
      <Progress value={percent(job.bytes_done, job.bytes_total)} flex={1} aria-label={text} />
      <span>{text}</span>
      {job.bytes_per_second != null && (
        <span className={classes.speed}>
          {rate(job.bytes_per_second)}
          {job.seconds_left != null && ` · ${t('left', { span: span(job.seconds_left) })}`}
        </span>
      )}
    </span>
  )
}

function tookOf(job: Job): number | null {
  if (job.started_at == null || job.finished_at == null) return null
  return Date.parse(job.finished_at) - Date.parse(job.started_at)
}
