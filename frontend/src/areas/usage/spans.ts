/** Times that usage is looked at for, all in UTC as the sums are; and how much one number is beside another. */
import { share } from '../../ui/format'

export const SPANS = ['month', 'before', 'd7', 'd30', 'year'] as const
export type Span = (typeof SPANS)[number]

interface Between {
  since: string
  until: string
}

/** `today` is any moment of the last day that is wanted; that day counts whole. */
export function between(span: Span, today: Date): Between {
  const year = today.getUTCFullYear()
  const month = today.getUTCMonth()
  const date = today.getUTCDate()
  const at = (...parts: [number, number, number]): string => new Date(Date.UTC(...parts)).toISOString()
  const until = at(year, month, date + 2)
  switch (span) {
    case 'month':
      return { since: at(year, month, 1), until: at(year, month + 1, 1) }
    case 'before':
      return { since: at(year, month - 1, 1), until: at(year, month, 1) }
    case 'd7':
      return { since: at(year, month, date - 6), until }
    case 'd30':
      return { since: at(year, month, date - 29), until }
    case 'year':
      return { since: at(year, month - 11, 1), until }
  }
}

/** The time before it: for months the month before, else as long as it is. */
export function before(span: Span, { since, until }: Between): Between {
  const begin = new Date(since)
  if (span === 'month' || span === 'before') {
    const former = new Date(Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth() - 1, 1))
    return { since: former.toISOString(), until: since }
  }
  return { since: new Date(2 * begin.getTime() - Date.parse(until)).toISOString(), until: since }
}

/** "+12 %", "−3 %"; null where there was nothing before. */
export function changeOf(now: number, then: number): string | null {
  if (then === 0) return null
  const change = (now - then) / then
  if (change === 0) return '±0 %'
  return `${change > 0 ? '+' : '−'}${share(Math.abs(change))}`
}
