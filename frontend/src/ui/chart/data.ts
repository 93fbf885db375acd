/** Series as a chart draws them: holes where nothing was measured, and the top of their axis. Pure. */

/** A column of times (Unix seconds, ascending), then one of values for each line; `null` is a hole. */
export type Columns = [number[], ...(number | null)[][]]

/** `step` is the time between measurements; where two are further apart there is a hole. */
export function withGaps(
  times: readonly number[],
  lines: readonly (readonly (number | null)[])[],
  step: number,
): Columns {
  const at: number[] = []
  const values: (number | null)[][] = lines.map(() => [])
  let before: number | null = null
  times.forEach((time, index) => {
    if (before !== null && time - before > step * 2.5) {
      at.push(before + step)
      for (const column of values) column.push(null)
    }
    at.push(time)
    lines.forEach((line, which) => values[which]?.push(line[index] ?? null))
    before = time
  })
  return [at, ...values]
}

/** The highest value, rounded up to a number that ticks well; `least` so that a line of nothing lies on the ground. */
export function top(columns: Columns, least = 4): number {
  let highest = 0
  for (const column of columns.slice(1))
    for (const value of column) if (value !== null && value > highest) highest = value
  if (highest <= least) return least
  const unit = 10 ** Math.floor(Math.log10(highest))
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * unit >= highest * 1.05) ?? 15
  return step * unit
}

/** Pixels that an axis needs for its widest label; `width` measures a text. */
export function axisWidth(labels: readonly string[] | null, width: (text: string) => number): number {
  return Math.ceil(Math.max(24, ...(labels ?? []).map(width))) + 12
}
