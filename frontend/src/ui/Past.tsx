/** The past of one thing, for a time that is chosen: speed, requests, time to first token, and what its page adds. */
import { SegmentedControl } from '@mantine/core'
import { useId, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useHistory, type HistorySeries, type Range } from '../api/history'
import { duration, durationTick, measure, perSecond } from './format'
import { HistoryChart, type HistoryLine } from './HistoryChart'
import { Loaded } from './PageState'
import classes from './Past.module.css'

const RANGES = ['hour', 'day', 'week', 'month'] as const
const NOTHING: readonly (number | null)[] = []

/** A line of a series; without values where the history has none of that name. */
export const lineOf = (series: HistorySeries, name: string, key: string): HistoryLine => ({
  name,
  values: series.values[key] ?? NOTHING,
})

interface PastProps {
  /** Names of series, as the API has them; the first is what the page is about. */
  names: readonly string[]
  /** What counts its requests that wait: a tenant's queue, or a node's inbox. */
  waits: 'queued' | 'waiting'
  /** Charts below the three that everything has. */
  more?: (series: readonly HistorySeries[], step: number) => ReactNode
}

export function Past({ names, waits, more }: PastProps) {
  const { t } = useTranslation()
  const [range, setRange] = useState<Range>('hour')
  const history = useHistory(names, range)
  const id = useId()
  return (
    <section aria-labelledby={id} className={classes.past}>
      <div className={classes.head}>
        <h2 id={id} className={classes.heading}>
          {t('past.title')}
        </h2>
        <SegmentedControl
          size="xs"
          aria-label={t('past.range')}
          data={RANGES.map((value) => ({ value, label: t(`past.${value}`) }))}
          value={range}
          onChange={(value) => {
            setRange(value)
          }}
        />
      </div>
      <Loaded query={history}>
        {({ series, step }) => {
          const own = series[0]
          if (own === undefined) return null
          return (
            <div className={classes.charts}>
              <HistoryChart
                title={t('past.speed')}
                at={own.at}
                step={step}
                lines={[lineOf(own, t('past.speed'), 'tokens_per_second')]}
                format={perSecond}
              />
              <HistoryChart
                title={t('past.requests')}
                at={own.at}
                step={step}
                lines={[
                  lineOf(own, t('past.running'), 'running'),
                  lineOf(own, t('past.waiting'), waits),
                  lineOf(own, t('past.failed'), 'failed'),
                ]}
                format={measure}
              />
              <HistoryChart
                title={t('past.firstToken')}
                at={own.at}
                step={step}
                lines={[lineOf(own, 'p50', 'first_token_p50_ms'), lineOf(own, 'p95', 'first_token_p95_ms')]}
                format={duration}
                axis={durationTick}
              />
              {more?.(series, step)}
            </div>
          )
        }}
      </Loaded>
    </section>
  )
}
