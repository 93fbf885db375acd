/** How a run ended, or that it is under way. */
import { useTranslation } from 'react-i18next'
import type { Experiment } from '../../api/experiments'
import { Tag } from '../../ui/Tag'

const TONES = { held: 'ok', broken: 'bad', no_data: 'plain' } as const

export function Outcome({
  state,
  verdict,
}: {
  state: Experiment['last_state']
  verdict: Experiment['last_verdict']
}) {
  const { t } = useTranslation('experiments')
  if (state === null) return <>{t('never')}</>
  if (state === 'running') return <Tag tone="accent">{t('states.running')}</Tag>
  if (state === 'aborted') return <Tag tone="bad">{t('states.aborted')}</Tag>
  if (state === 'stopped') return <Tag tone="warn">{t('states.stopped')}</Tag>
  if (verdict === null) return <Tag tone="plain">{t('states.done')}</Tag>
  return <Tag tone={TONES[verdict]}>{t(`verdicts.${verdict}`)}</Tag>
}
