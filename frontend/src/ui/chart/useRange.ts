/** The time that a page looks at: the last so many seconds, or a part that somebody chose; kept in the page's address. */
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback } from 'react'

/** Seconds. */
export const RANGES = [300, 3_600, 21_600, 86_400, 604_800, 2_592_000, 31_536_000] as const
export type Last = (typeof RANGES)[number]

const OURS = new Set(['last', 'from', 'to'])

export interface Range {
  /** Seconds up to now; `null` while a part is looked at. */
  last: Last | null
  /** Unix seconds. */
  from: number
  to: number
}

/** What an address says of the range at `now` (Unix seconds). Pure. */
export function rangeOf(search: Readonly<Record<string, unknown>>, now: number, initial: Last): Range {
  const from = Number(search.from)
  const to = Number(search.to)
  if (Number.isFinite(from) && Number.isFinite(to) && from < to) return { last: null, from, to }
  const last = RANGES.find((each) => each === Number(search.last)) ?? initial
  return { last, from: now - last, to: now }
}

export function useRange(now: number, initial: Last = 3_600) {
  const search: Readonly<Record<string, unknown>> = useSearch({ strict: false })
  const navigate = useNavigate()
  const set = useCallback(
    (next: { last?: Last; from?: number; to?: number }) => {
      void navigate({
        to: '.',
        resetScroll: false,
        search: ((before: Readonly<Record<string, unknown>>) => ({
          ...Object.fromEntries(Object.entries(before).filter(([name]) => !OURS.has(name))),
          ...next,
        })) as never,
      })
    },
    [navigate],
  )
  return {
    range: rangeOf(search, now, initial),
    show: useCallback((last: Last) => set(last === initial ? {} : { last }), [set, initial]),
    zoom: useCallback(
      (part: { from: number; to: number } | null) =>
        set(part === null ? {} : { from: Math.floor(part.from), to: Math.ceil(part.to) }),
      [set],
    ),
  }
}
