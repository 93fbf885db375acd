/** What came of each case of one evaluation: the answer, its checks and why they failed, and what was measured. */
import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { useResults, type Evaluation, type EvaluationResult } from '../../api/evaluations'
import { Dialog } from '../../ui/Dialog'
import { count, duration, measure } from '../../ui/format'
import { Tag } from '../../ui/Tag'
import classes from './EvaluationsPage.module.css'

export function Results({ evaluation, onClose }: { evaluation: Evaluation; onClose: () => void }) {
  const { t } = useTranslation('evaluations')
  const { rows, more, error } = useResults(evaluation)
  return (
    <Dialog
      opened
      onClose={onClose}
      size="lg"
      title={`${evaluation.model} ${evaluation.version.slice(7, 19)} · ${evaluation.suite_name}`}
    >
      {(evaluation.reason ?? '') !== '' && <p className={classes.reason}>{evaluation.reason}</p>}
      {error != null && <p className={classes.reason}>{error.message}</p>}
      {rows?.length === 0 && <p className={classes.muted}>{t('noResult')}</p>}
      <ol className={classes.results}>
        {rows?.map((result) => (
          <Result key={result.number} result={result} />
        ))}
      </ol>
      {more !== undefined && (
        <Button size="compact-sm" variant="default" onClick={more}>
          {t('more')}
        </Button>
      )}
    </Dialog>
  )
}

function Result({ result }: { result: EvaluationResult }) {
  const { t } = useTranslation('evaluations')
  const measured = [
    result.first_token_ms == null ? null : t('firstTokenIn', { time: duration(result.first_token_ms) }),
    result.tokens_per_second == null
      ? null
      : t('tokensPerSecond', { rate: measure(result.tokens_per_second) }),
    result.completion_tokens == null ? null : t('tokens', { tokens: count(result.completion_tokens) }),
    result.node === '' ? null : result.node,
  ].filter((each) => each != null)
  return (
    <li>
      <div className={classes.head}>
        <Tag tone={result.passed ? 'ok' : 'bad'}>{t(result.passed ? 'passed' : 'failed')}</Tag>
        <strong>{result.name}</strong>
        <span className={classes.muted}>{measured.join(' · ')}</span>
      </div>
      {result.answer !== '' && (
        <pre className={classes.answer} tabIndex={0}>
          {result.answer}
          {result.cut === true ? ` … ${t('cut')}` : ''}
        </pre>
      )}
      <ul className={classes.checks}>
        {result.checks.map((check, index) => (
          <li key={index}>
            {t(`check.${check.kind}`)}: {t(check.passed ? 'passed' : 'failed')}
            {check.value == null ? '' : ` (${measure(check.value)})`}
            {check.detail === '' ? '' : ` – ${check.detail}`}
          </li>
        ))}
      </ul>
    </li>
  )
}
