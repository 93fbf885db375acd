/** Every node as one small square, problems first: a thousand of them are read at one look. */
import { Link } from '@tanstack/react-router'
import { memo } from 'react'
import { useTranslation } from 'react-i18next'
import classes from './NodeMap.module.css'
import type { NodeCondition, NodeListed } from './rows'

/** In the order of the legend. */
const CONDITIONS: readonly NodeCondition[] = [
  'lost',
  'unreachable',
  'silent',
  'unhealthy',
  'degraded',
  'draining',
  'cordoned',
  'joining',
  'unknown',
  'healthy',
]

interface SquareProps {
  id: string
  name: string
  condition: NodeCondition
  why: string
}

/** Renders when something of its own is new, not whenever one of a thousand is. */
const Square = memo(function Square({ id, name, condition, why }: SquareProps) {
  const { t } = useTranslation()
  const told = `${name}: ${t(`health.${condition}`)}`
  return (
    <li>
      <Link
        to="/nodes/$nodeId"
        params={{ nodeId: id }}
        preload={false}
        className={classes.node}
        data-condition={condition}
        title={why === '' ? told : `${told}\n${why}`}
        aria-label={told}
      >
        <span className={classes.name} aria-hidden="true">
          {name}
        </span>
      </Link>
    </li>
  )
})

export function NodeMap({ rows, label }: { rows: readonly NodeListed[]; label: string }) {
  const { t } = useTranslation()
  const counts = new Map<NodeCondition, number>()
  for (const row of rows) counts.set(row.condition, (counts.get(row.condition) ?? 0) + 1)
  return (
    <div className={classes.holder}>
      <ul className={classes.map} aria-label={label} data-many={rows.length > 120}>
        {rows.map((row) => (
          <Square
            key={row.id}
            id={row.id}
            name={row.name}
            condition={row.condition}
            why={row.findings.map((each) => each.text).join('\n')}
          />
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
