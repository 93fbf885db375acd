/** Whether what is shown is of now. */
import { useTranslation } from 'react-i18next'
import { STALE_AFTER, useClock, useLive } from '../live/useLive'
import { span } from '../ui/format'
import classes from './LiveBadge.module.css'

/** What is asked for every few seconds is older between two answers. */
const STALE_POLLED = 8_000

export function LiveBadge() {
  const { t } = useTranslation()
  const { phase, heardAt } = useLive()
  const clock = useClock()
  const age = heardAt === null ? null : clock - heardAt
  const stale = age !== null && age > (phase === 'polling' ? STALE_POLLED : STALE_AFTER)
  const tone = phase === 'live' && !stale ? 'ok' : phase === 'forbidden' ? 'bad' : 'warn'
  return (
    <span className={classes.badge} data-tone={tone}>
      <span className={classes.dot} />
      {/* Only the word is announced, and only when it changes: not each second. */}
      <span role="status" aria-live="polite">
        {t(phase === 'live' && stale ? 'live.stale' : `live.${phase}`)}
      </span>
      {stale && (
        <span className={classes.since} aria-hidden="true">
          {t(phase === 'live' ? 'live.since' : 'live.last', { span: span(age / 1000) })}
        </span>
      )}
    </span>
  )
}
