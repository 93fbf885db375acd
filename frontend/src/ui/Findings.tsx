/** What is wrong, the worst first: in a word, in the control plane's own sentence, and since when. */
import { IconAlertOctagon, IconAlertTriangle, IconInfoCircle } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Finding } from '../api/health'
import { dateTime, span } from './format'
import { useNow } from './useNow'
import classes from './Findings.module.css'

interface FindingsProps<Each extends Finding> {
  findings: readonly Each[]
  /** What it is about, as a link. */
  about?: (finding: Each) => ReactNode
}

const ICON = { critical: IconAlertOctagon, warning: IconAlertTriangle, notice: IconInfoCircle } as const

export function Findings<Each extends Finding>({ findings, about }: FindingsProps<Each>) {
  const { t } = useTranslation()
  const now = useNow()
  return (
    <ul className={classes.list}>
      {findings.map((finding, place) => {
        const Icon = ICON[finding.severity]
        const seconds = now - Date.parse(finding.since) / 1000
        return (
          <li
            key={`${finding.code} ${String(place)}`}
            className={classes.finding}
            data-severity={finding.severity}
          >
            <span className={classes.icon}>
              <Icon size={18} aria-label={t(`health.${finding.severity}`)} />
            </span>
            <span className={classes.text}>
              {about !== undefined && <strong className={classes.about}>{about(finding)}</strong>}
              {finding.text}
            </span>
            <time className={classes.since} dateTime={finding.since} title={dateTime(finding.since)}>
              {span(seconds)}
            </time>
          </li>
        )
      })}
    </ul>
  )
}
