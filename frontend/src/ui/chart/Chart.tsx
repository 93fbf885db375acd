/** Lines over time. All charts of a page share their cursor; dragging over one looks closer; holes are where nothing was measured. */
import 'uplot/dist/uPlot.min.css'
import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useId, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import uPlot from 'uplot'
import { Card } from '../Card'
import { clockTime, dateTime, short } from '../format'
import { PageEmpty } from '../PageState'
import classes from './Chart.module.css'
import { top, withGaps, type Columns } from './data'
import { optionsOf } from './options'

export interface Line {
  name: string
  /** A custom property of tokens.css. */
  color: string
  /** One for each time; `null` where nothing was measured. */
  values: readonly (number | null)[]
  /** Counts hold until the next one. */
  stepped?: boolean
  /** Dashed, as a percentile beside the median. */
  dashed?: boolean
}

export interface ChartProps {
  title: string
  /** Unix seconds, ascending. */
  times: readonly number[]
  lines: readonly Line[]
  /** The area between two lines is filled: p50 and p95, by their places among the lines. */
  band?: readonly [low: number, high: number]
  /** Seconds between measurements. */
  step: number
  /** What is shown; by default all there is. */
  from?: number
  to?: number
  /** How a value is written in full; the axis writes it shortly. */
  format: (value: number) => string
  axis?: (value: number) => string
  /** Somebody looks closer at a part of it, or at the whole again (`null`). */
  onZoom?: (range: { from: number; to: number } | null) => void
  height?: number
  /** The lowest top of the axis: 100 for shares in percent. */
  least?: number
}

export function Chart(props: ChartProps) {
  const { title, times, lines, step, format, height = 180 } = props
  const { t } = useTranslation()
  const [hovered, setHovered] = useState<number | null>(null)
  const columns = useMemo(
    () => withGaps(times, lines.map((line) => line.values), step), // prettier-ignore
    [times, lines, step],
  )
  const empty = lines.every((line) => line.values.every((value) => value === null))
  const index = hovered ?? columns[0].length - 1
  const time = columns[0][index]
  const legend = lines.map((line, place) => {
    const value = columns[place + 1]?.[index]
    return { name: line.name, color: line.color, text: value == null ? '–' : format(value) }
  })
  return (
    <Card
      title={title}
      aside={
        empty ? undefined : (
          <span className={classes.legend}>
            {hovered !== null && time !== undefined && (
              <span>
                {(columns[0].at(-1) ?? 0) - (columns[0][0] ?? 0) > 86_400 ? dateTime(time) : clockTime(time)}
              </span>
            )}
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
        <div className={classes.none} style={{ height }}>
          <PageEmpty title={t('chart.none')} />
        </div>
      ) : (
        <div
          role="img"
          aria-label={t('chart.now', {
            title,
            values: legend.map(({ name, text }) => `${name} ${text}`).join(', '),
          })}
          title={props.onZoom === undefined ? undefined : t('chart.zoom')}
        >
          <Plot {...props} columns={columns} height={height} onHover={setHovered} />
        </div>
      )}
    </Card>
  )
}

interface PlotProps extends ChartProps {
  columns: Columns
  height: number
  onHover: (index: number | null) => void
}

function Plot({
  columns,
  lines,
  band,
  from,
  to,
  axis = short,
  least,
  step,
  height,
  onHover,
  onZoom,
}: PlotProps) {
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const scheme = useComputedColorScheme('light')
  const id = useId()
  const range = { from: from ?? columns[0][0] ?? 0, to: to ?? columns[0].at(-1) ?? 1 }
  const latest = useRef({ columns, range, axis, least, onHover, onZoom })
  /** What the plot is made of; other data is only given to it. */
  const made = JSON.stringify([
    lines.map(({ name, color, stepped, dashed }) => [name, color, stepped, dashed]),
    band,
    height,
    step,
    scheme,
    id,
  ])

  useEffect(() => {
    latest.current = { columns, range, axis, least, onHover, onZoom }
  })

  // Drawing costs more than all else of an idle page: only what is new is drawn.
  useEffect(() => {
    if (plot.current !== null) show(plot.current, columns, { from: range.from, to: range.to }, least)
  }, [columns, range.from, range.to, least])

  useEffect(() => {
    const element = holder.current
    if (element === null) return
    const now = latest.current
    const options = optionsOf({
      width: element.clientWidth,
      height,
      step,
      lines,
      band,
      axis: (value) => latest.current.axis(value),
      onHover: (index) => latest.current.onHover(index),
      onZoom: now.onZoom === undefined ? undefined : (chosen) => latest.current.onZoom?.(chosen),
    })
    const drawn = new uPlot(options, now.columns, element)
    plot.current = drawn
    show(drawn, now.columns, now.range, now.least)
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      drawn.destroy()
      plot.current = null
    }
    // Colours are read when the plot is made: another scheme makes another plot.
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `made` stands for all that it is made of
  }, [made])

  return <div ref={holder} className={classes.plot} style={{ height }} />
}

function show(plot: uPlot, columns: Columns, range: { from: number; to: number }, least?: number): void {
  plot.batch(() => {
    plot.setData(columns, false)
    plot.setScale('x', { min: range.from, max: range.to })
    plot.setScale('y', { min: 0, max: top(columns, least) })
  })
}
