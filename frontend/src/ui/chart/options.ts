/** uPlot's options for the console's charts. */
import uPlot from 'uplot'
import { tick } from '../format'
import type { Line } from './Chart'
import { axisWidth } from './data'

interface Wanted {
  width: number
  height: number
  step: number
  lines: readonly Line[]
  band: readonly [number, number] | undefined
  axis: (value: number) => string
  onHover: (index: number | null) => void
  onZoom: ((range: { from: number; to: number } | null) => void) | undefined
}

/** All charts of the page move their cursors together. */
const SYNC = 'charts'
/** Narrower drags are clicks. */
const LEAST_DRAG = 8

export function optionsOf({
  width,
  height,
  step,
  lines,
  band,
  axis,
  onHover,
  onZoom,
}: Wanted): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string): string => style.getPropertyValue(name).trim()
  const font = `11px ${style.getPropertyValue('--mantine-font-family')}`
  const stepped = uPlot.paths.stepped?.({ align: 1 })
  return {
    width,
    height,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      sync: { key: SYNC, setSeries: false },
      drag: { x: onZoom !== undefined, y: false, setScale: false, dist: LEAST_DRAG },
      points: { size: 7 },
      // Where there is no measurement near, none is shown.
      dataIdx: (plot, _series, closest, time) =>
        Math.abs((plot.data[0][closest] ?? 0) - time) > step * 2.5 ? null : closest,
      bind: {
        dblclick: () => () => {
          onZoom?.(null)
          return null
        },
      },
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
        values: (plot, splits) => {
          const { min = 0, max = 0 } = plot.scales.x ?? {}
          return splits.map((time) => tick(time, max - min))
        },
      },
      {
        font,
        stroke: color('--muted'),
        grid: { stroke: color('--line'), width: 1 },
        ticks: { show: false },
        gap: 6,
        size: (plot, labels) => {
          plot.ctx.save()
          plot.ctx.font = font
          const wide = axisWidth(labels, (text) => plot.ctx.measureText(text).width)
          plot.ctx.restore()
          return wide
        },
        space: 38,
        values: (_plot, splits) => splits.map(axis),
      },
    ],
    series: [
      {},
      ...lines.map((line, place): uPlot.Series => {
        const stroke = color(line.color)
        return {
          label: line.name,
          stroke,
          width: 1.75,
          points: { show: false },
          ...(line.dashed === true ? { dash: [5, 4], width: 1.25 } : {}),
          ...(place === 0 && band === undefined ? { fill: `${stroke}1f` } : {}),
          ...(line.stepped === true && stepped !== undefined ? { paths: stepped } : {}),
        }
      }),
    ],
    ...(band === undefined
      ? {}
      : {
          bands: [
            { series: [band[1] + 1, band[0] + 1], fill: `${color(lines[band[0]]?.color ?? '--accent')}1f` },
          ],
        }),
    hooks: {
      setCursor: [
        (plot) => {
          const away = plot.cursor.left === undefined || plot.cursor.left < 0
          onHover(away ? null : (plot.cursor.idxs?.[1] ?? null))
        },
      ],
      setSelect: [
        (plot) => {
          if (plot.select.width < LEAST_DRAG) return
          onZoom?.({
            from: plot.posToVal(plot.select.left, 'x'),
            to: plot.posToVal(plot.select.left + plot.select.width, 'x'),
          })
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
}
