/** A node as lists show it: what it says now, beside how the control plane judges it. Pure. */
import { conditionOf, type Condition, type FleetProblem } from '../../api/health'
import type { NodeRow } from '../../live/types'

export type NodeCondition =
  Condition | 'draining' | 'cordoned' | 'silent' | 'joining' | 'unreachable' | 'lost'

export interface NodeListed {
  /** With hyphens, as addresses have it. */
  id: string
  name: string
  condition: NodeCondition
  findings: readonly FleetProblem[]
  view: NodeRow
}

/** One for all: to make it costs more than a thousand comparisons. */
const collator = new Intl.Collator(undefined, { numeric: true })
const ORDER: readonly NodeCondition[] = [
  'lost',
  'unreachable',
  'silent',
  'unhealthy',
  'degraded',
  'unknown',
  'draining',
  'cordoned',
  'joining',
  'healthy',
]

/** The worst first, then by name. `judged`: there is a report; without one nobody knows how they are. */
export function rowsOf(
  nodes: Iterable<NodeRow>,
  problems: ReadonlyMap<string, readonly FleetProblem[]>,
  judged: boolean,
): NodeListed[] {
  const rows = [...nodes].map((view): NodeListed => {
    const findings = problems.get(view.id) ?? []
    return {
      id: hyphened(view.id),
      name: view.name,
      findings,
      view,
      condition: condition(view, findings, judged),
    }
  })
  return rows.sort(
    (one, other) =>
      ORDER.indexOf(one.condition) - ORDER.indexOf(other.condition) || collator.compare(one.name, other.name),
  )
}

function condition(view: NodeRow, findings: readonly FleetProblem[], judged: boolean): NodeCondition {
  if (view.state === 'silent') return absent(view.lifecycle)
  const found = conditionOf(findings)
  if (found !== 'healthy') return found
  if (view.state === 'draining') return view.lifecycle === 'cordoned' ? 'cordoned' : 'draining'
  return judged ? 'healthy' : 'unknown'
}

/** What a node that says nothing is, by its state; `silent` while that is not known yet. */
export const absent = (lifecycle: string | undefined): NodeCondition =>
  lifecycle === 'joining' || lifecycle === 'unreachable' || lifecycle === 'lost' ? lifecycle : 'silent'

/** Whether a node in this condition does not report. */
export const isAbsent = (condition: NodeCondition): boolean =>
  condition === 'silent' || condition === 'unreachable' || condition === 'lost'

/** An id as addresses have it: live messages leave its hyphens out. */
export const hyphened = (id: string): string =>
  id.includes('-') ? id : id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
