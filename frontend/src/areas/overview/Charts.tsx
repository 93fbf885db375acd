/** The past of the whole fleet: speed, requests, time to first token. */
import { SegmentedControl } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useHistory, type Range } from '../../api/history'
import { count, duration, perSecond } from '../../ui/format'
import { HistoryChart } from '../../ui/HistoryChart'
import { Loaded } from '../../ui/PageState'
import classes from './OverviewPage.module.css'

const NAMES = ['tenant'] as const
const NOTHING: readonly (number | null)[] = []
const plain = (value: number): string => (Number.isInteger(value) ? count(value) : value.toFixed(1))

export function Charts() {
  const { t } = useTranslation(['overview', 'common'])
  const [range, setRange] = useState<Range>('hour')
  const history = useHistory(NAMES, range)
  return (
    <section aria-label={t('past')} className={classes.past}>
      <SegmentedControl
        size="xs"
        aria-label={t('common:past.range')}
        data={(['hour', 'day', 'week', 'month'] as const).map((value) => ({ value, label: t(`common:past.${value}`) }))}
        value={range}
        onChange={(value) => {
          setRange(value)
        }}
      />
      <Loaded query={history}>
        {({ series: [own], step }) => {
          if (own === undefined) return null
          const line = (name: string, key: string) => ({ name, values: own.values[key] ?? NOTHING })
          return (
            <div className={classes.charts}>
              <HistoryChart title={t('speed')} at={own.at}
                step={step} lines={[line(t('speed'), 'tokens_per_second')]} format={perSecond} />
              <HistoryChart
                title={t('requests')}
                at={own.at}
                step={step}
                lines={[line(t('running'), 'running'), line(t('waiting'), 'queued'), line(t('failed'), 'failed')]}
                format={plain}
              />
              <HistoryChart
                title={t('firstToken')}
                at={own.at}
                step={step}
                lines={[line('p50', 'first_token_p50_ms'), line('p95', 'first_token_p95_ms')]}
                format={duration}
              />
            </div>
          )
        }}
      </Loaded>
    </section>
  )
}
