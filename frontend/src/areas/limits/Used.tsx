/** One limit: how much of it is used at this moment, or that there is none. */
import { useTranslation } from 'react-i18next'
import { count, percent } from '../../ui/format'
import { Meter } from '../../ui/Meter'
import classes from './LimitsPage.module.css'

interface UsedProps {
  label: string
  limit: number | null
  /** In the limit's unit; `null` where there is no limit, and nothing is counted. */
  used: number | null
  /** In a table, whose column says the label. */
  short?: boolean
}

export function Used({ label, limit, used, short = false }: UsedProps) {
  const { t } = useTranslation('limits')
  if (limit === null) {
    const none = <span className={classes.none}>{t('none')}</span>
    return short ? (
      none
    ) : (
      <div className={classes.unlimited}>
        <span>{label}</span>
        {none}
      </div>
    )
  }
  const text = t('of', { used: count(Math.ceil(used ?? 0)), limit: count(limit) })
  return (
    <div className={classes.cell}>
      <Meter label={short ? '' : label} name={label} text={text} percent={percent(used ?? 0, limit)} />
    </div>
  )
}
