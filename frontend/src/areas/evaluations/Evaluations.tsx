/** The table of evaluations: what was reached, how fast, and each case on demand. */
import { Button, Group } from '@mantine/core'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  isOpen,
  useEvaluationActs,
  useEvaluations,
  type Evaluation,
  type EvaluationState,
} from '../../api/evaluations'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { Card } from '../../ui/Card'
import { count, duration, exactly, measure, share, when } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag, type Tone } from '../../ui/Tag'
import { Results } from './Results'

const TONE: Record<EvaluationState, Tone> = {
  waiting: 'plain',
  running: 'accent',
  completed: 'ok',
  failed: 'bad',
  cancelled: 'plain',
}
const short = (digest: string) => digest.slice(7, 19)

/** Of all models, or of one by its name without the tag. */
export function Evaluations({ model }: { model?: string }) {
  const { t } = useTranslation('evaluations')
  const mayManage = useMay('model.manage')
  const { cancel } = useEvaluationActs()
  const [shown, setShown] = useState<string | null>(null)
  const list = useEvaluations(model)
  const columns = useMemo(
    (): Column<Evaluation>[] => [
      { id: 'version', header: t('version'), value: (each) => `${each.model}@${each.version}`, cell: (each) => <span title={each.version}>{each.model} <code>{short(each.version)}</code></span>, primary: true },
      { id: 'suite', header: t('suite'), value: (each) => each.suite_name, cell: (each) => <span title={each.suite_changed ? t('changedText') : undefined}>{each.suite_name}{each.suite_changed ? ` (${t('changedSince')})` : ''}</span> },
      { id: 'state', header: t('state'), value: (each) => t(`is.${each.state ?? 'waiting'}`), cell: (each) => <Tag tone={TONE[each.state ?? 'waiting']} title={each.reason ?? ''}>{t(`is.${each.state ?? 'waiting'}`)}</Tag>, width: 170 },
      { id: 'score', header: t('score'), value: (each) => each.score ?? null, cell: (each) => <Score evaluation={each} />, align: 'right', width: 170 },
      { id: 'first', header: t('firstToken'), value: (each) => each.first_token_ms?.median ?? null, cell: (each) => each.first_token_ms == null ? <NoData /> : <span title={t('ofCases', { count: each.first_token_ms.count })}>{duration(each.first_token_ms.median)}</span>, align: 'right', width: 130 },
      { id: 'speed', header: t('speed'), value: (each) => each.tokens_per_second?.median ?? null, cell: (each) => each.tokens_per_second == null ? <NoData /> : <span title={t('ofCases', { count: each.tokens_per_second.count })}>{measure(each.tokens_per_second.median)}</span>, align: 'right', width: 110 },
      { id: 'by', header: t('by'), value: (each) => each.by_name, hidden: true },
      { id: 'created', header: t('ordered'), value: (each) => each.created_at, cell: (each) => <time title={exactly(each.created_at ?? '')}>{when(each.created_at ?? '')}</time>, width: 130 },
    ],
    [t],
  ) // prettier-ignore
  const stop = async (evaluation: Evaluation) => {
    await act(
      { title: t('cancelTitle'), consequence: t('cancelText'), action: t('cancelIt'), danger: true },
      () => cancel.mutateAsync(evaluation.id),
      t('cancelDone'),
    )
  }
  const open = list.rows?.find((each) => each.id === shown)
  return (
    <>
      <Card title={t('evaluations')} flush>
        <DataTable
          id="evaluations"
          label={t('evaluations')}
          columns={columns}
          list={list}
          idOf={(each) => each.id}
          toneOf={(each) => (each.state === 'failed' ? 'bad' : undefined)}
          rowActions={(each) => (
            <Group gap={6} wrap="nowrap">
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => {
                  setShown(each.id)
                }}
              >
                {t('cases')}
              </Button>
              {mayManage && isOpen(each) && (
                <Button size="compact-xs" variant="subtle" color="red" onClick={() => void stop(each)}>
                  {t('cancelIt')}
                </Button>
              )}
            </Group>
          )}
          rowActionsWidth={170}
          empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
        />
      </Card>
      {open !== undefined && (
        <Results
          evaluation={open}
          onClose={() => {
            setShown(null)
          }}
        />
      )}
    </>
  )
}

function Score({ evaluation }: { evaluation: Evaluation }) {
  const { t } = useTranslation('evaluations')
  const { score, done, total, passed } = evaluation
  if (score == null) return <span>{t('of', { done: count(done ?? 0), all: count(total) })}</span>
  return (
    <span>
      {share(score)} ({t('of', { done: count(passed ?? 0), all: count(total) })})
    </span>
  )
}
