/** A chart of what the history tells: each line in a colour of its own. */
import { useMemo } from 'react'
import { Chart } from './chart/Chart'

export interface HistoryLine {
  name: string
  values: readonly (number | null)[]
}

interface HistoryChartProps {
  title: string
  /** Unix seconds of each step, and how long one is. */
  at: readonly number[]
  step: number
  lines: readonly HistoryLine[]
  format: (value: number) => string
  /** How the axis writes a value; by default as a bare number. */
  axis?: (value: number) => string
  /** The lowest top of the axis: 100 for per cent. */
  least?: number
}

const COLORS = ['--accent', '--second', '--ok', '--bad'] as const

export function HistoryChart({ title, at, step, lines, format, axis, least }: HistoryChartProps) {
  const coloured = useMemo(
    () => lines.map((line, place) => ({ ...line, color: COLORS[place % COLORS.length] ?? '--accent' })),
    [lines],
  )
  const from = at[0]
  const to = at.at(-1)
  return (
    <Chart
      title={title}
      times={at}
      lines={coloured}
      step={step}
      format={format}
      {...(from === undefined || to === undefined ? {} : { from, to })}
      {...(axis === undefined ? {} : { axis })}
      {...(least === undefined ? {} : { least })}
    />
  )
}
