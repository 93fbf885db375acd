/** Whether all is well; or what is wrong, the worst first, each with the way to it. */
import { IconCircleCheck } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useHealth, type FleetProblem } from '../../api/health'
import { Card } from '../../ui/Card'
import { Findings } from '../../ui/Findings'
import { count } from '../../ui/format'
import classes from './OverviewPage.module.css'

const SHOWN = 12

export function HealthPanel() {
  const { t } = useTranslation('overview')
  const health = useHealth()
  if (health.data === undefined) return null
  const { well, problems, notices, counts } = health.data
  // Of nothing nobody says that it is well; the page says how to begin.
  if (well && counts.nodes === 0) return null
  return (
    <>
      {well ? (
        <section className={classes.well} aria-label={t('health')}>
          <IconCircleCheck size={22} aria-hidden="true" />
          <strong>{t('well')}</strong>
          <span>{t('wellText', { count: counts.nodes, capacity: count(counts.capacity) })}</span>
        </section>
      ) : (
        <Card title={t('problems')} aside={count(problems.length)} flush>
          <Findings findings={problems.slice(0, SHOWN)} about={about} />
          {problems.length > SHOWN && (
            <p className={classes.more}>
              <Link to="/nodes">{t('moreProblems', { count: problems.length - SHOWN })}</Link>
            </p>
          )}
        </Card>
      )}
      {notices.length > 0 && counts.nodes > 0 && (
        <details className={classes.notices}>
          <summary>{t('notices', { count: notices.length })}</summary>
          <Findings findings={notices.slice(0, SHOWN)} about={about} />
        </details>
      )}
    </>
  )
}

function about(problem: FleetProblem) {
  if (problem.kind === 'node')
    return (
      <Link to="/nodes/$nodeId" params={{ nodeId: problem.id }}>
        {problem.name}
      </Link>
    )
  return problem.kind === 'model' ? problem.name : undefined
}
