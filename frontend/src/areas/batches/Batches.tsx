/** The table of batches: how far each is, its results and errors, and its end. */
import { Button, Progress } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  isOpen,
  keepFile,
  useBatches,
  useCancelBatch,
  type Batch,
  type BatchesAsked,
  type BatchStatus,
} from '../../api/batches'
import { orderingOf } from '../../api/pages'
import { act } from '../../ui/act'
import { Dialog } from '../../ui/Dialog'
import { count, exactly, percent, when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import { Choice } from '../../ui/table/Choice'
import { hiddenOf, type Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag, type Tone } from '../../ui/Tag'
import { failed } from '../../ui/toast'
import classes from './BatchesPage.module.css'

const TONE: Record<BatchStatus, Tone> = {
  validating: 'accent',
  in_progress: 'accent',
  finalizing: 'accent',
  cancelling: 'warn',
  completed: 'ok',
  failed: 'bad',
  expired: 'bad',
  cancelled: 'plain',
}
const STATUSES = Object.keys(TONE) as BatchStatus[]

export function Batches() {
  const { t } = useTranslation('batches')
  const cancel = useCancelBatch()
  const [shown, setShown] = useState<Batch | null>(null)
  const columns = useMemo(
    (): Column<Batch>[] => [
      { id: 'input', header: t('input'), value: (batch) => batch.input_name || t('goneFile'), primary: true },
      { id: 'status', header: t('status'), value: (batch) => batch.status, cell: (batch) => <Tag tone={TONE[batch.status]}>{t(`is.${batch.status}`)}</Tag>, width: 130 },
      { id: 'progress', header: t('progress'), value: (batch) => batch.completed + batch.failed, cell: (batch) => <HowFar batch={batch} />, width: 230 },
      { id: 'failed', header: t('failed'), value: (batch) => batch.failed, cell: (batch) => count(batch.failed), align: 'right', width: 90 },
      { id: 'files', header: t('results'), value: () => null, cell: (batch) => <Results batch={batch} onErrors={setShown} />, width: 220 },
      { id: 'endpoint', header: t('endpoint'), value: (batch) => batch.endpoint, width: 190, hidden: true },
      { id: 'key', header: t('key'), value: (batch) => batch.key_name, width: 140, hidden: true },
      { id: 'created', header: t('created'), value: (batch) => batch.created_at, cell: (batch) => <time title={exactly(batch.created_at)}>{when(batch.created_at)}</time>, width: 130, orderBy: 'created_at' },
      { id: 'expires', header: t('window'), value: (batch) => batch.completion_window, cell: (batch) => <span title={exactly(batch.expires_at)}>{batch.completion_window}</span>, width: 90, hidden: true },
    ],
    [t],
  ) // prettier-ignore
  const view = useTableState({ sort: { id: 'created', desc: true }, hidden: hiddenOf(columns) })
  const { sort, filters } = view.state
  const status = STATUSES.find((each) => each === filters.status?.[0])
  const list = useBatches({
    ordering: (orderingOf(sort, columns) ?? '-created_at') as BatchesAsked['ordering'],
    ...(status === undefined ? {} : { status }),
  })
  const stop = async (batch: Batch) => {
    await act(
      {
        title: t('cancelTitle', { name: batch.input_name || t('goneFile') }),
        consequence: t('cancelText'),
        action: t('cancelIt'),
        danger: true,
      },
      () => cancel.mutateAsync(batch.id),
      t('cancelDone'),
    )
  }
  return (
    <>
      <DataTable
        id="batches"
        label={t('batches')}
        columns={columns}
        list={list}
        view={view}
        live
        idOf={(batch) => batch.id}
        toneOf={(batch) => (batch.status === 'failed' || batch.status === 'expired' ? 'bad' : undefined)}
        tools={
          <Choice
            view={view}
            name="status"
            label={t('status')}
            data={STATUSES.map((each) => [each, t(`is.${each}`)])}
          />
        }
        rowActions={(batch) =>
          isOpen(batch) && (
            <Button size="compact-xs" variant="subtle" color="red" onClick={() => void stop(batch)}>
              {t('cancelIt')}
            </Button>
          )
        }
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
      <Dialog opened={shown !== null} onClose={() => setShown(null)} title={t('problems')} size="lg">
        <ul className={classes.problems}>
          {shown?.errors.map((problem, index) => (
            <li key={index}>
              {problem.line === null
                ? problem.message
                : t('line', { line: problem.line, message: problem.message })}
            </li>
          ))}
        </ul>
      </Dialog>
    </>
  )
}

function HowFar({ batch }: { batch: Batch }) {
  const { t } = useTranslation('batches')
  const answered = batch.completed + batch.failed
  const text = t('of', { done: count(answered), all: count(batch.total) })
  if (batch.total === 0) return <span>–</span>
  return (
    <span className={classes.progress}>
      <Progress value={percent(answered, batch.total)} flex={1} aria-label={text} />
      <span>{text}</span>
    </span>
  )
}

function Results({ batch, onErrors }: { batch: Batch; onErrors: (batch: Batch) => void }) {
  const { t } = useTranslation('batches')
  const name = (batch.input_name || 'batch').replace(/\.jsonl$/, '')
  const files = [
    { id: batch.output_file, label: t('output'), name: `${name}-output.jsonl` },
    { id: batch.error_file, label: t('errorFile'), name: `${name}-errors.jsonl` },
  ]
  return (
    <span className={classes.files}>
      {files.map(
        ({ id, label, name: file }) =>
          id !== null && (
            <Button
              key={id}
              size="compact-xs"
              variant="light"
              leftSection={<IconDownload size={13} />}
              onClick={() => {
                keepFile(id, file).catch(failed)
              }}
            >
              {label}
            </Button>
          ),
      )}
      {batch.errors.length > 0 && (
        <Button
          size="compact-xs"
          variant="light"
          color="red"
          onClick={() => {
            onErrors(batch)
          }}
        >
          {t('wrongInput')}
        </Button>
      )}
    </span>
  )
}
