/** The past of a tenant, a node, a card or a model, for charts. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type History = components['schemas']['History']
export type HistorySeries = components['schemas']['HistorySeries']

/** Spans of time that a chart shows, in seconds. */
export const RANGES = { hour: 3600, day: 86_400, week: 7 * 86_400, month: 30 * 86_400 } as const
export type Range = keyof typeof RANGES

export function useHistory(series: readonly string[], range: Range) {
  return useQuery({
    queryKey: ['history', series, range],
    queryFn: async (): Promise<History> =>
      bodyOf(
        await api.GET('/api/v1/history', {
          params: {
            query: {
              series: [...series],
              since: new Date(Date.now() - RANGES[range] * 1000).toISOString(),
            },
          },
        }),
      ),
    enabled: series.length > 0,
    placeholderData: keepPreviousData,
    refetchInterval: range === 'hour' ? 10_000 : 60_000,
  })
}
