/** What a viewer chose, kept in this browser. Storage may be forbidden: then it lasts as long as the page. */
import { useSyncExternalStore } from 'react'

export interface Preferences {
  language: string
  /** An IANA name, or absent for the browser's own. */
  zone: string
  density: string
  /** Whether the side navigation shows icons alone. */
  narrow: string
  /** `dismissed` when the first steps were put away. */
  guide: string
}

const PREFIX = 'ollamamax.'
const memory = new Map<string, string>()
const listeners = new Set<() => void>()

export const preference = {
  get(name: keyof Preferences): string | null {
    return kept(PREFIX + name)
  },
  set(name: keyof Preferences, value: string | null): void {
    keep(PREFIX + name, value)
    for (const listener of listeners) listener()
  },
}

export function usePreference(name: keyof Preferences): string | null {
  return useSyncExternalStore(subscribe, () => preference.get(name))
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** What is kept under a name of this browser's storage. */
export function kept(name: string): string | null {
  try {
    return window.localStorage.getItem(name)
  } catch {
    return memory.get(name) ?? null
  }
}

export function keep(name: string, value: string | null): void {
  try {
    if (value === null) window.localStorage.removeItem(name)
    else window.localStorage.setItem(name, value)
  } catch {
    if (value === null) memory.delete(name)
    else memory.set(name, value)
  }
}
