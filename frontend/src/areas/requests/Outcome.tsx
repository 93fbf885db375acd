/** How a request ended, in a word, with the code of what ended it. */
import type { FinishedRequest } from '../../live/types'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './RequestTable.module.css'

const OUTCOME: Record<FinishedRequest['outcome'], { word: string; tone: Tone }> = {
  ok: { word: 'ok', tone: 'ok' },
  cancelled: { word: 'cancelled', tone: 'warn' },
  failed: { word: 'failed', tone: 'bad' },
  gateway_lost: { word: 'gateway lost', tone: 'bad' },
  node_lost: { word: 'node lost', tone: 'bad' },
  refused: { word: 'refused', tone: 'warn' },
}

export function Outcome({ outcome, error }: Pick<FinishedRequest, 'outcome' | 'error'>) {
  const { word, tone } = OUTCOME[outcome]
  return (
    <>
      <Tag tone={tone} title={error === '' ? undefined : error}>
        {word}
      </Tag>
      {error !== '' && <span className={classes.reason}>{error}</span>}
    </>
  )
}
