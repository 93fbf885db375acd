/** The installation itself, for its operator: every setting, and how processes, loops, queues and databases fare. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Setting = components['schemas']['Setting']
export type System = components['schemas']['System']
export type Region = components['schemas']['Region']
export type Loop = components['schemas']['Loop']

export function useSettings() {
  return useQuery({
    queryKey: ['settings'],
    queryFn: async () => bodyOf(await api.GET('/api/v1/settings')).results,
  })
}

export function useSystem() {
  return useQuery({
    queryKey: ['system'],
    queryFn: async () => bodyOf(await api.GET('/api/v1/system')),
    refetchInterval: 5_000,
  })
}

/** Whether a loop fares badly: it failed, or its last run is long ago for how often it runs. Pure. */
export function loopState(
  loop: Pick<Loop, 'error' | 'ago_seconds' | 'every_seconds'>,
): 'ok' | 'late' | 'bad' {
  if (loop.error !== '') return 'bad'
  return loop.ago_seconds > 3 * loop.every_seconds + 10 ? 'late' : 'ok'
}
