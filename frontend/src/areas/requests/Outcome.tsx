/** How a request ended, in a word, with the code of what ended it. */
import { useTranslation } from 'react-i18next'
import type { FinishedRequest } from '../../live/types'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './RequestTable.module.css'

const TONE: Record<FinishedRequest['outcome'], Tone> = {
  ok: 'ok',
  cancelled: 'warn',
  failed: 'bad',
  gateway_lost: 'bad',
  node_lost: 'bad',
  refused: 'warn',
}

export function Outcome({ outcome, error }: Pick<FinishedRequest, 'outcome' | 'error'>) {
  const { t } = useTranslation('requests')
  return (
    <>
      <Tag tone={TONE[outcome]} title={error === '' ? undefined : error}>
        {t(`outcome.${outcome}`)}
      </Tag>
      {error !== '' && <span className={classes.reason}>{error}</span>}
    </>
  )
}
