/** The live state for components. One store serves every page; each component renders for its own slice only. */
import { createContext, useContext, useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { keyOf, type Chosen, type LiveStatus, type LiveStore } from './store'
import type { TopicName, Views } from './topics'

export const LiveContext = createContext<LiveStore | null>(null)

/** Older than this, data is shown as stale. */
export const STALE_AFTER = 3_000

export function useStore(): LiveStore {
  const store = useContext(LiveContext)
  if (store === null) throw new Error('useLive outside of the live context')
  return store
}

export function useLive(): LiveStatus {
  const store = useStore()
  return useSyncExternalStore(store.subscribe, store.readStatus)
}

/** All of a topic while the component is there; `null` until something is known, and where it is not `wanted`. */
export function useTopic<T extends TopicName>(topic: T, chosen: Chosen = {}, wanted = true): Views[T] | null {
  return useSlice(topic, whole as (view: Views[T] | null) => Views[T] | null, chosen, wanted)
}

/** A part of a topic. `select` is a function of a module, not of a render; the component renders when what it returns has changed. */
export function useSlice<T extends TopicName, S>(
  topic: T,
  select: (view: Views[T] | null) => S,
  chosen: Chosen = {},
  wanted = true,
): S {
  const store = useStore()
  const { ids, limit } = chosen
  const key = keyOf(topic, chosen)
  const read = useMemo(() => selecting(store, key, select), [store, key, select])
  const named = ids?.join(',')
  useEffect(() => {
    if (!wanted) return
    return store.want(topic, {
      ...(named === undefined ? {} : { ids: named.split(',') }),
      ...(limit === undefined ? {} : { limit }),
    })
  }, [store, topic, named, limit, wanted])
  return useSyncExternalStore(store.subscribe, read)
}

function whole(view: unknown): unknown {
  return view
}

/** Reads a slice, and returns the very same one while nothing in it has changed. */
function selecting<S>(store: LiveStore, key: string, select: (view: never) => S): () => S {
  let view: unknown
  let slice: S
  return () => {
    const now = store.view(key)
    if (now !== view) {
      const next = select(now as never)
      if (view === undefined || !same(slice, next)) slice = next
      view = now
    }
    return slice
  }
}

/** Equal by identity, or arrays and plain objects of which each part is. */
function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other) || one instanceof Map) return false
  const names = Object.keys(one)
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => Object.is(one[name as keyof typeof one], other[name as keyof typeof other]))
  )
}

/** This browser's own clock (ms), renewed each second. */
export function useClock(): number {
  const [clock, setClock] = useState(() => performance.now())
  useEffect(() => {
    const timer = window.setInterval(() => {
      setClock(performance.now())
    }, 1000)
    return () => {
      window.clearInterval(timer)
    }
  }, [])
  return clock
}

/** Whether what the page shows is not of now any more. Renders only when that changes. */
export function useStale(): boolean {
  const store = useStore()
  const [subscribe, read] = useMemo(() => {
    const isStale = () => {
      const { heardAt } = store.readStatus()
      return heardAt !== null && performance.now() - heardAt > STALE_AFTER
    }
    const hear = (listener: () => void) => {
      const leave = store.subscribe(listener)
      // Silence tells nobody.
      const timer = window.setInterval(listener, 1000)
      return () => {
        leave()
        window.clearInterval(timer)
      }
    }
    return [hear, isStale] as const
  }, [store])
  return useSyncExternalStore(subscribe, read)
}

/** The server's time now (Unix seconds), renewed each second: for durations of what runs. */
export function useServerTime(): number {
  const at = useSlice('fleet', timeOf)
  const clock = useClock()
  const [heard, setHeard] = useState({ at, clock })
  if (heard.at !== at) setHeard({ at, clock })
  return heard.at + Math.max(0, clock - heard.clock) / 1000
}

const timeOf = (view: Views['fleet'] | null): number => view?.at ?? Date.now() / 1000
