/** How a model did, from the requests that ended: uptime, speed, time to first token, and errors by their codes. */
import { SegmentedControl } from '@mantine/core'
import { useId, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useHistory, type HistorySeries, type Range } from '../../api/history'
import { trafficOf } from '../../api/models'
import { count, duration, durationTick, measure, perSecond } from '../../ui/format'
import { HistoryChart } from '../../ui/HistoryChart'
import { Loaded } from '../../ui/PageState'
import { lineOf } from '../../ui/Past'
import past from '../../ui/Past.module.css'
import { Tile } from '../../ui/Tile'
import classes from './ModelPage.module.css'
import { uptime } from './uptime'

const SPANS = ['hour', 'day', 'week', 'month'] as const

export function ModelTraffic({ name }: { name: string }) {
  const { t } = useTranslation(['models', 'common'])
  const [range, setRange] = useState<Range>('day')
  const history = useHistory([`model:${name}`], range)
  const id = useId()
  return (
    <section aria-labelledby={id} className={past.past}>
      <div className={past.head}>
        <h2 id={id} className={past.heading}>
          {t('traffic')}
        </h2>
        <SegmentedControl
          size="xs"
          aria-label={t('common:past.range')}
          data={SPANS.map((value) => ({ value, label: t(`common:past.${value}`) }))}
          value={range}
          onChange={setRange}
        />
      </div>
      <Loaded query={history}>
        {({ series, step }) => (series[0] === undefined ? null : <Shown series={series[0]} step={step} />)}
      </Loaded>
    </section>
  )
}

function Shown({ series, step }: { series: HistorySeries; step: number }) {
  const { t } = useTranslation(['models', 'common'])
  const all = trafficOf(series)
  const speed = (series.values.completion_tokens ?? []).map((tokens) =>
    tokens === null ? null : tokens / step,
  )
  const failures = Object.entries(series.failures)
    .map(([code, values]) => ({ code, times: values.reduce<number>((sum, value) => sum + (value ?? 0), 0) }))
    .filter((each) => each.times > 0)
    .sort((one, other) => other.times - one.times)
  return (
    <>
      <div className={classes.tiles}>
        <Tile name={t('uptime')} value={uptime(all.uptime)} warn={all.uptime !== null && all.uptime < 0.99} />
        <Tile name={t('requests')} value={count(all.requests)} />
        <Tile name={t('failedRequests')} value={count(all.failed)} warn={all.failed > 0} />
        <Tile name={t('tokensOut')} value={count(all.completionTokens)} />
      </div>
      <div className={past.charts}>
        <HistoryChart
          title={t('common:past.speed')}
          at={series.at}
          step={step}
          lines={[{ name: t('common:past.speed'), values: speed }]}
          format={perSecond}
        />
        <HistoryChart
          title={t('common:past.requests')}
          at={series.at}
          step={step}
          lines={[
            lineOf(series, t('requests'), 'requests'),
            lineOf(series, t('common:past.failed'), 'failed'),
          ]}
          format={measure}
        />
        <HistoryChart
          title={t('common:past.firstToken')}
          at={series.at}
          step={step}
          lines={[lineOf(series, 'p50', 'first_token_p50_ms'), lineOf(series, 'p95', 'first_token_p95_ms')]}
          format={duration}
          axis={durationTick}
        />
      </div>
      {failures.length > 0 && (
        <ul className={classes.failures} aria-label={t('errors')}>
          {failures.map((each) => (
            <li key={each.code}>
              <code>{each.code}</code> {count(each.times)}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
