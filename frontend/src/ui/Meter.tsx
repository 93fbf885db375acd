/** A measured share of a known whole. */
import classes from './Meter.module.css'

interface MeterProps {
  label: string
  /** Read out where the label is not shown. */
  name?: string
  text: string
  /** 0 to 100. */
  percent: number
  /** From where on the bar warns; 101 for never. */
  high?: number
}

export function Meter({ label, name = label, text, percent, high = 90 }: MeterProps) {
  return (
    <div className={classes.meter}>
      <span className={classes.label}>{label}</span>
      <span className={classes.text}>{text}</span>
      <span
        className={classes.track}
        role="meter"
        aria-label={name}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(percent)}
        aria-valuetext={text}
      >
        <span className={classes.bar} data-high={percent >= high} style={{ width: `${percent}%` }} />
      </span>
    </div>
  )
}
