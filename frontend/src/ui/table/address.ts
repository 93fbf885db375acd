/** The state of a table as a part of the page's address, and back. Pure. */
import type { TableState } from './column'

export type Search = Readonly<Record<string, unknown>>

export const PLAIN: TableState = { text: '', sort: null, hidden: [], filters: {} }

/** `prefix` tells tables of one page apart; `initial` is what an address says that says nothing. */
export function stateOf(search: Search, initial: TableState = PLAIN, prefix = ''): TableState {
  const said = (name: string): string | undefined => {
    const value = search[prefix + name]
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? String(value)
      : undefined
  }
  const sort = said('sort')
  const hidden = said('hide')
  const filters: Record<string, readonly string[]> = { ...initial.filters }
  for (const key of Object.keys(search)) {
    if (!key.startsWith(`${prefix}in.`)) continue
    filters[key.slice(prefix.length + 3)] = list(said(key.slice(prefix.length)) ?? '')
  }
  return {
    text: said('q') ?? initial.text,
    sort:
      sort === undefined
        ? initial.sort
        : sort === ''
          ? null
          : { id: sort.replace(/^-/, ''), desc: sort.startsWith('-') },
    hidden: hidden === undefined ? initial.hidden : list(hidden),
    filters,
  }
}

/** The address's part with the state in it; what is as in `initial` is left out. */
export function searchOf(
  search: Search,
  state: TableState,
  initial: TableState = PLAIN,
  prefix = '',
): Record<string, unknown> {
  const kept = Object.fromEntries(
    Object.entries(search).filter(
      ([key]) =>
        ![`${prefix}q`, `${prefix}sort`, `${prefix}hide`].includes(key) && !key.startsWith(`${prefix}in.`),
    ),
  )
  const say = (name: string, value: string, before: string) => {
    if (value !== before) kept[prefix + name] = value
  }
  say('q', state.text, initial.text)
  say('sort', sortText(state), sortText(initial))
  say('hide', joined(state.hidden), joined(initial.hidden))
  for (const id of new Set([...Object.keys(state.filters), ...Object.keys(initial.filters)])) {
    say(`in.${id}`, joined(state.filters[id] ?? []), joined(initial.filters[id] ?? []))
  }
  return kept
}

const sortText = ({ sort }: TableState): string => (sort === null ? '' : `${sort.desc ? '-' : ''}${sort.id}`)
const joined = (parts: readonly string[]): string => parts.map(encodeURIComponent).join(',')
const list = (text: string): string[] => (text === '' ? [] : text.split(',').map(decoded))

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // typed by hand
  }
}
