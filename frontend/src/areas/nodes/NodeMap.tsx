/** Every node as one small square, problems first: a thousand of them are read at one look. */
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import classes from './NodeMap.module.css'
import type { NodeCondition, NodeListed } from './rows'

/** In the order of the legend. */
const CONDITIONS: readonly NodeCondition[] = [
  'silent',
  'unhealthy',
  'degraded',
  'draining',
  'unknown',
  'healthy',
]

export function NodeMap({ rows, label }: { rows: readonly NodeListed[]; label: string }) {
  const { t } = useTranslation()
  const counts = new Map<NodeCondition, number>()
  for (const row of rows) counts.set(row.condition, (counts.get(row.condition) ?? 0) + 1)
  return (
    <div className={classes.holder}>
      <ul className={classes.map} aria-label={label} data-many={rows.length > 120}>
        {rows.map((row) => (
          <li key={row.id}>
            <Link
              to="/nodes/$nodeId"
              params={{ nodeId: row.id }}
              className={classes.node}
              data-condition={row.condition}
              title={[
                `${row.name}: ${t(`health.${row.condition}`)}`,
                ...row.findings.map((each) => each.text),
              ].join('\n')}
              aria-label={`${row.name}: ${t(`health.${row.condition}`)}`}
            >
              <span className={classes.name} aria-hidden="true">
                {row.name}
              </span>
            </Link>
          </li>
        ))}
      </ul>
      <ul className={classes.legend}>
        {CONDITIONS.filter((each) => counts.has(each)).map((each) => (
          <li key={each}>
            <span className={classes.swatch} data-condition={each} />
            {t(`health.${each}`)} {counts.get(each)}
          </li>
        ))}
      </ul>
    </div>
  )
}
