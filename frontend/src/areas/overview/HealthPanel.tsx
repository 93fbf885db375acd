/** Whether all is well; or what is wrong, the worst first, each with the way to it. What many nodes share is said once. */
import { IconCircleCheck } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { grouped, useHealth, type FleetProblem, type ProblemGroup } from '../../api/health'
import { useTopic } from '../../live/useLive'
import { hyphened } from '../nodes/rows'
import { Card } from '../../ui/Card'
import { Findings } from '../../ui/Findings'
import { count } from '../../ui/format'
import classes from './OverviewPage.module.css'

const SHOWN = 12
const SHOWN_OF_GROUP = 50

export function HealthPanel() {
  const { t } = useTranslation('overview')
  const health = useHealth()
  const open = useTopic('incidents')?.open ?? 0
  if (health === undefined) return null
  const { well, problems, notices, counts } = health
  // Of nothing nobody says that it is well; the page says how to begin.
  if (well && counts.nodes === 0) return null
  return (
    <>
      {open > 0 && (
        <p className={classes.more}>
          <Link to="/incidents" search={{ state: 'open' } as never}>
            {t('incidents', { count: open })}
          </Link>
        </p>
      )}
      {well ? (
        <section className={classes.well} aria-label={t('health')}>
          <IconCircleCheck size={22} aria-hidden="true" />
          <strong>{t('well')}</strong>
          <span>{t('wellText', { count: counts.nodes, capacity: count(counts.capacity) })}</span>
        </section>
      ) : (
        <Card title={t('problems')} aside={count(problems.length)} flush>
          <Grouped problems={problems} />
        </Card>
      )}
      {notices.length > 0 && counts.nodes > 0 && (
        <details className={classes.notices}>
          <summary>{t('notices', { count: notices.length })}</summary>
          <Grouped problems={notices} />
        </details>
      )}
    </>
  )
}

function Grouped({ problems }: { problems: readonly FleetProblem[] }) {
  const { t } = useTranslation('overview')
  const groups = useMemo(() => grouped(problems), [problems])
  const rest = groups.slice(SHOWN).reduce((sum, group) => sum + group.problems.length, 0)
  return (
    <>
      {groups
        .slice(0, SHOWN)
        .map((group) =>
          group.problems.length === 1 ? (
            <Findings key={keyOf(group.first)} findings={group.problems} about={about} />
          ) : (
            <Group key={`${group.first.kind} ${group.first.code} ${group.first.severity}`} group={group} />
          ),
        )}
      {rest > 0 && (
        <p className={classes.more}>
          <Link to="/nodes">{t('moreProblems', { count: rest })}</Link>
        </p>
      )}
    </>
  )
}

/** Open, it lists each of them. */
function Group({ group }: { group: ProblemGroup }) {
  const { t } = useTranslation('overview')
  const { first, problems } = group
  const rest = problems.length - SHOWN_OF_GROUP
  return (
    <details className={classes.group}>
      <summary data-severity={first.severity}>
        <strong>
          {t(first.kind === 'model' ? 'groupModels' : 'groupNodes', {
            count: new Set(problems.map((each) => each.id)).size,
          })}
        </strong>{' '}
        {t(`code.${first.code}`, { defaultValue: first.text })}
      </summary>
      <Findings findings={problems.slice(0, SHOWN_OF_GROUP)} about={about} />
      {rest > 0 && (
        <p className={classes.more}>
          <Link to="/nodes">{t('moreProblems', { count: rest })}</Link>
        </p>
      )}
    </details>
  )
}

const keyOf = (problem: FleetProblem): string =>
  `${problem.kind} ${problem.id} ${problem.code} ${problem.text}`

function about(problem: FleetProblem) {
  if (problem.kind === 'node')
    return (
      <Link to="/nodes/$nodeId" params={{ nodeId: hyphened(problem.id) }}>
        {problem.name}
      </Link>
    )
  return problem.kind === 'model' ? problem.name : undefined
}
