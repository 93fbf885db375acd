/** How far a drain is: of the requests that ran when it began, those that are left. */
import { Progress } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Node } from '../../api/nodes'
import { Card } from '../../ui/Card'
import { percent, span } from '../../ui/format'
import { useNow } from '../../ui/useNow'
import classes from './NodePage.module.css'

export function DrainProgress({ drain }: { drain: NonNullable<Node['drain']> }) {
  const { t } = useTranslation('nodes')
  const now = useNow()
  const { running, running_at_start: first } = drain
  const all = Math.max(first ?? 0, running ?? 0)
  const left = Date.parse(drain.until) / 1000 - now
  const text =
    running === null
      ? t('drainUnknown')
      : running === 0
        ? t('drainOver')
        : t('drainLeft', { count: running, all }) +
          (left > 0 ? ` ${t('drainEnds', { span: span(left) })}` : ` ${t('drainEnding')}`)
  return (
    <Card title={t('drainProgress')}>
      <div className={classes.form}>
        <Progress
          value={running === null ? 0 : all === 0 ? 100 : percent(all - running, all)}
          aria-label={t('drainProgress')}
        />
        <p role="status">{text}</p>
      </div>
    </Card>
  )
}
