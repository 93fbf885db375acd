/** The phases of a request on one axis, from its receipt to its end; a mere moment has no bar. */
import { useTranslation } from 'react-i18next'
import type { Step } from '../../api/requests'
import { duration } from '../../ui/format'
import classes from './Timeline.module.css'

export function Timeline({ steps, now }: { steps: readonly Step[]; now: number }) {
  const { t } = useTranslation('requests')
  const from = Math.min(...steps.map((step) => Date.parse(step.at)))
  const end = (step: Step): number => (step.until === null ? now : Date.parse(step.until))
  const whole = Math.max(1, ...steps.map((step) => end(step) - from))
  const lasting = steps.filter((step) => step.until === null || step.until !== step.at)
  return (
    <ol className={classes.steps}>
      {lasting.map((step) => {
        const begin = Date.parse(step.at) - from
        const took = Math.max(0, end(step) - Date.parse(step.at))
        return (
          <li key={`${step.phase} ${step.at}`} className={classes.step} data-phase={step.phase}>
            <span className={classes.name}>
              {t(`phase.${step.phase}`)}
              {step.node_name !== '' && <span className={classes.more}>{step.node_name}</span>}
              {step.detail !== '' && <span className={classes.more}>{step.detail}</span>}
            </span>
            <span className={classes.track} aria-hidden="true">
              <span
                className={classes.bar}
                data-open={step.until === null}
                style={{ marginLeft: `${(begin / whole) * 100}%`, width: `${(took / whole) * 100}%` }}
              />
            </span>
            <span className={classes.took}>{duration(took)}</span>
          </li>
        )
      })}
    </ol>
  )
}
