/** Whether what is shown is of now. */
import { STALE_AFTER, useClock, useLive } from '../live/useLive'
import { span } from './format'
import classes from './LiveBadge.module.css'

export function LiveBadge() {
  const { phase, heardAt } = useLive()
  const clock = useClock()
  const age = heardAt === null ? null : clock - heardAt
  const stale = age !== null && age > STALE_AFTER
  const tone = phase === 'live' && !stale ? 'ok' : phase === 'forbidden' ? 'bad' : 'warn'
  const word = {
    live: stale ? 'Stale' : 'Live',
    connecting: 'Connecting',
    reconnecting: 'Reconnecting',
    unauthenticated: 'Logged out',
    forbidden: 'No access',
  }[phase]
  return (
    <span className={classes.badge} data-tone={tone}>
      <span className={classes.dot} />
      {/* Only the word is announced, and only when it changes: not each second. */}
      <span role="status" aria-live="polite">
        {word}
      </span>
      {stale && (
        <span className={classes.since} aria-hidden="true">
          {phase === 'live' ? 'since' : '· last data'} {span(age / 1000)}
          {phase === 'live' ? '' : ' ago'}
        </span>
      )}
    </span>
  )
}
