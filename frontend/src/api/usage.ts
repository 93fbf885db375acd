/** What was used: sums over a time, apart by something, beside the time before, and as a file. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type UsageGroup = components['schemas']['UsageGroup']
export type TenantUsage = components['schemas']['TenantUsage']
export type Totals = components['schemas']['Totals']
export type By = 'month' | 'week' | 'day' | 'model' | 'user' | 'key' | 'node'

export interface Between {
  since: string
  until: string
}

export function useUsage(by: By, between: Between, compare: boolean) {
  return useQuery({
    queryKey: ['usage', by, between, compare],
    placeholderData: keepPreviousData,
    queryFn: async (): Promise<UsageGroup[]> =>
      bodyOf(await api.GET('/api/v1/usage/groups', { params: { query: { by: [by], ...between, compare } } }))
        .results,
  })
}

export function useTotals(between: Between) {
  return useQuery({
    queryKey: ['usage-totals', between],
    placeholderData: keepPreviousData,
    queryFn: async (): Promise<Totals> =>
      bodyOf(await api.GET('/api/v1/usage/totals', { params: { query: { ...between } } })),
  })
}

/** Of every tenant, for the operator. */
export function useTenantsUsage(between: Between, enabled: boolean) {
  return useQuery({
    queryKey: ['usage-tenants', between],
    enabled,
    placeholderData: keepPreviousData,
    queryFn: async (): Promise<TenantUsage[]> =>
      bodyOf(await api.GET('/api/v1/usage/tenants', { params: { query: { ...between } } })).results,
  })
}

/** The address of the file of each request. */
export const accessFile = (between: Between): string =>
  `/api/v1/usage/access?${new URLSearchParams({ form: 'csv', ...between }).toString()}`

/** The address of the file. */
export const usageFile = (by: By, between: Between): string =>
  `/api/v1/usage/export?${new URLSearchParams({ by, form: 'csv', ...between }).toString()}`
