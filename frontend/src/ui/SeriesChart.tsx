/** The last five minutes of one measure, as a line with its area. Gaps are where nothing was measured. */
import 'uplot/dist/uPlot.min.css'
import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useMemo, useRef, useState } from 'react'
import uPlot from 'uplot'
import { SERIES_SECONDS } from '../live/topics'
import type { Point } from '../live/types'
import { Card, Empty } from './Card'
import { clockTime, count } from './format'
import classes from './SeriesChart.module.css'

interface Line {
  name: string
  /** A custom property of tokens.css. */
  color: '--accent' | '--second'
  read: (point: Point) => number | null
  stepped?: boolean
}

interface SeriesChartProps {
  title: string
  lines: readonly [Line, ...Line[]]
  format: (value: number) => string
  series: readonly Point[]
  at: number
}

const HEIGHT = 190
/** Points come each second; a longer silence is a gap. */
const GAP_SECONDS = 3

export function SeriesChart({ title, lines, format, series, at }: SeriesChartProps) {
  const [hovered, setHovered] = useState<number | null>(null)
  const data = useMemo(() => columns(series, lines), [series, lines])
  const empty = series.every((point) => lines.every((line) => line.read(point) === null))
  const index = hovered ?? data[0].length - 1
  const time = data[0][index]
  const legend = lines.map((line, at) => {
    const value = data[at + 1]?.[index]
    return { name: line.name, color: line.color, text: value == null ? '–' : format(value) }
  })
  const spoken = legend.map(({ name, text }) => `${name} ${text}`).join(', ')
  return (
    <Card
      title={title}
      aside={
        empty ? undefined : (
          <span className={classes.legend}>
            {hovered !== null && time !== undefined && <span>{clockTime(time)}</span>}
            {legend.map(({ name, color, text }) => (
              <span key={name} className={classes.entry}>
                <span className={classes.swatch} style={{ background: `var(${color})` }} />
                {lines.length > 1 && name} <strong className={classes.value}>{text}</strong>
              </span>
            ))}
          </span>
        )
      }
    >
      {empty ? (
        <div className={classes.none}>
          <Empty title="No data yet" />
        </div>
      ) : (
        <div role="img" aria-label={`${title}, the last five minutes. Now: ${spoken}.`}>
          <Plot data={data} lines={lines} at={at} onHover={setHovered} />
        </div>
      )}
    </Card>
  )
}

interface PlotProps {
  data: uPlot.AlignedData
  lines: readonly Line[]
  at: number
  onHover: (index: number | null) => void
}

function Plot({ data, lines, at, onHover }: PlotProps) {
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const scheme = useComputedColorScheme('light')
  const latest = useRef({ data, at })

  useEffect(() => {
    const element = holder.current
    if (element === null) return
    const made = new uPlot(options(element.clientWidth, lines, onHover), latest.current.data, element)
    plot.current = made
    show(made, latest.current.data, latest.current.at)
    const observer = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: HEIGHT })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
    // The colours are read when the plot is made: another scheme makes another plot.
  }, [lines, onHover, scheme])

  useEffect(() => {
    latest.current = { data, at }
    if (plot.current !== null) show(plot.current, data, at)
  }, [data, at])

  return <div ref={holder} className={classes.plot} />
}

function show(plot: uPlot, data: uPlot.AlignedData, at: number): void {
  plot.batch(() => {
    plot.setData(data, false)
    plot.setScale('x', { min: at - SERIES_SECONDS, max: at })
    plot.setScale('y', { min: 0, max: top(data) })
  })
}

/** The highest value, rounded up to a number that ticks well; at least 4 so that an idle line lies on the ground. */
function top(data: uPlot.AlignedData): number {
  let highest = 0
  for (const column of data.slice(1))
    for (const value of column) if (value != null && value > highest) highest = value
  if (highest <= 4) return 4
  const unit = 10 ** Math.floor(Math.log10(highest))
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * unit >= highest * 1.05) ?? 15
  return step * unit
}

function columns(series: readonly Point[], lines: readonly Line[]): [number[], ...(number | null)[][]] {
  const times: number[] = []
  const values: (number | null)[][] = lines.map(() => [])
  let before: number | null = null
  for (const point of series) {
    if (before !== null && point.at - before > GAP_SECONDS) {
      times.push(before + 1)
      for (const column of values) column.push(null)
    }
    times.push(point.at)
    lines.forEach((line, index) => values[index]?.push(line.read(point)))
    before = point.at
  }
  return [times, ...values]
}

function options(
  width: number,
  lines: readonly Line[],
  onHover: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string): string => style.getPropertyValue(name).trim()
  const font = `11px ${style.getPropertyValue('--mantine-font-family')}`
  const grid = { stroke: color('--line'), width: 1 }
  const stepped = uPlot.paths.stepped?.({ align: 1 })
  return {
    width,
    height: HEIGHT,
    padding: [10, 16, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { size: 7 },
      // Where there is no measurement near, none is shown.
      dataIdx: (plot, _series, closest, time) =>
        Math.abs((plot.data[0][closest] ?? 0) - time) > GAP_SECONDS ? null : closest,
    },
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: [
      {
        font,
        stroke: color('--muted'),
        grid: { show: false },
        ticks: { show: false },
        gap: 4,
        size: 24,
        space: 70,
        values: (_plot, splits) => splits.map((time) => clockTime(time).slice(0, 5)),
        incrs: [60, 120, 300],
      },
      {
        font,
        stroke: color('--muted'),
        grid,
        ticks: { show: false },
        gap: 6,
        size: 40,
        space: 42,
        values: (_plot, splits) => splits.map((value) => (Number.isInteger(value) ? count(value) : '')),
      },
    ],
    series: [
      {},
      ...lines.map((line, index): uPlot.Series => {
        const stroke = color(line.color)
        return {
          label: line.name,
          stroke,
          width: 1.75,
          points: { show: false },
          ...(index === 0 ? { fill: `${stroke}1f` } : {}),
          ...(line.stepped === true && stepped !== undefined ? { paths: stepped } : {}),
        }
      }),
    ],
    hooks: {
      setCursor: [
        (plot) => {
          const away = plot.cursor.left === undefined || plot.cursor.left < 0
          onHover(away ? null : (plot.cursor.idxs?.[1] ?? null))
        },
      ],
    },
  }
}
