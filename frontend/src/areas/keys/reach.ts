/** Where and for what a key may be used, as text in a form: one entry a line, or apart by spaces and commas. */
import type { Key } from '../../api/keys'

export type Reach = Key['reach']
export const REACH_PARTS = ['addresses', 'routes', 'models'] as const
export type ReachText = Record<(typeof REACH_PARTS)[number], string>

export const NO_REACH: ReachText = { addresses: '', routes: '', models: '' }

export function reachOf(text: ReachText): Required<Reach> {
  const [addresses, routes, models] = REACH_PARTS.map((part) => text[part].split(/[\s,]+/).filter(Boolean))
  return { addresses: addresses ?? [], routes: routes ?? [], models: models ?? [] }
}

export function textOf(reach: Reach): ReachText {
  const [addresses, routes, models] = REACH_PARTS.map((part) => (reach[part] ?? []).join('\n'))
  return { addresses: addresses ?? '', routes: routes ?? '', models: models ?? '' }
}

export const isBound = (reach: Reach): boolean => REACH_PARTS.some((part) => (reach[part] ?? []).length > 0)
