/** Named states of a table that a person saved, in this browser. */
import { useSyncExternalStore } from 'react'
import { keep, kept } from '../../app/preferences'
import type { TableState } from './column'

export interface View {
  name: string
  state: TableState
}

const listeners = new Set<() => void>()
const read = new Map<string, { text: string | null; views: readonly View[] }>()
const place = (table: string, user: string): string => `ollamamax.views.${table}.${user}`

/** The views of a table; the same list as long as nothing changed. */
function viewsOf(table: string, user: string): readonly View[] {
  const name = place(table, user)
  const text = kept(name)
  const before = read.get(name)
  if (before?.text === text) return before.views
  const views = parsed(text)
  read.set(name, { text, views })
  return views
}

function parsed(text: string | null): readonly View[] {
  if (text === null) return []
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? (value as View[]).filter((each) => typeof each.name === 'string') : []
  } catch {
    return []
  }
}

export function useViews(table: string, user: string) {
  const views = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => viewsOf(table, user),
  )
  const write = (next: readonly View[]) => {
    keep(place(table, user), next.length === 0 ? null : JSON.stringify(next))
    for (const listener of listeners) listener()
  }
  return {
    views,
    /** One of the same name is replaced. */
    save: (view: View) => {
      write([...views.filter((each) => each.name !== view.name), view])
    },
    remove: (name: string) => {
      write(views.filter((each) => each.name !== name))
    },
  }
}
