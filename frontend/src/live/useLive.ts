/** The live state for components. One connection serves every page of the console. */
import { createContext, useContext, useEffect, useState, useSyncExternalStore } from 'react'
import type { Live, LiveConnection } from './connection'

export const LiveContext = createContext<LiveConnection | null>(null)

/** Older than this, data is shown as stale. */
export const STALE_AFTER = 3_000

export function useLive(): Live {
  const connection = useContext(LiveContext)
  if (connection === null) throw new Error('useLive outside of the live context')
  return useSyncExternalStore(connection.subscribe, connection.read)
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
