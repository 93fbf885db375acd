/** Rows that stand still while somebody points at them. Pure. */

export interface Standing<Row> {
  /** What is shown: the rows that stood, in their places, each as it is now or as it was when it went away. */
  rows: readonly Row[]
  /** How many rows have come since. */
  fresh: number
}

/** `stood` are the rows as they stood when the pointer came, `now` those that would be shown without it. */
export function standing<Row>(
  stood: readonly Row[],
  now: readonly Row[],
  idOf: (row: Row) => string,
): Standing<Row> {
  const latest = new Map(now.map((row) => [idOf(row), row]))
  const rows = stood.map((row) => latest.get(idOf(row)) ?? row)
  const known = new Set(stood.map(idOf))
  let fresh = 0
  for (const id of latest.keys()) if (!known.has(id)) fresh += 1
  return { rows, fresh }
}
