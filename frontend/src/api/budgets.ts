/** Budgets of the tenant, what is spent of them, and prices. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Budget = components['schemas']['Budget']
export type BudgetCreate = components['schemas']['BudgetCreate']
export type Price = components['schemas']['ModelPrice']
export type PriceCreate = components['schemas']['ModelPriceCreate']
export type Whose = Budget['whose']

export const UNITS = ['tokens', 'prompt_tokens', 'completion_tokens', 'gpu_seconds', 'money'] as const
export const BUDGET_PERIODS = ['day', 'week', 'month'] as const
export const WHOSE = ['tenant', 'team', 'user', 'key'] as const

const page = (cursor: string | undefined) => ({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })

export const useBudgets = () =>
  usePages<Budget>(
    ['budgets'],
    async (cursor) => bodyOf(await api.GET('/api/v1/budgets', { params: { query: page(cursor) } })),
    { refetchInterval: 10_000 },
  )

export const usePrices = () =>
  usePages<Price>(['prices'], async (cursor) =>
    bodyOf(await api.GET('/api/v1/prices', { params: { query: page(cursor) } })),
  )

/** The teams, people or keys that a budget can be of. */
export const useSubjects = (whose: Whose) =>
  useQuery({
    queryKey: ['budget-subjects', whose],
    enabled: whose !== 'tenant',
    queryFn: async (): Promise<{ value: string; label: string }[]> => {
      const query = { limit: 200 }
      if (whose === 'team') {
        const found = bodyOf(await api.GET('/api/v1/teams', { params: { query } })).results
        return found.map((row) => ({ value: row.id, label: row.name }))
      }
      if (whose === 'key') {
        const found = bodyOf(
          await api.GET('/api/v1/keys', { params: { query: { ...query, revoked: false } } }),
        )
        return found.results.map((row) => ({ value: row.id, label: row.name }))
      }
      const people = bodyOf(await api.GET('/api/v1/members', { params: { query } })).results
      const programs = bodyOf(await api.GET('/api/v1/service-accounts', { params: { query } })).results
      return [
        ...people.map((row) => ({ value: row.user, label: row.email })),
        ...programs.map((row) => ({ value: row.user, label: row.name })),
      ]
    },
  })

export function useBudgetActs() {
  const queries = useQueryClient()
  const onSettled = async () => {
    await queries.invalidateQueries({ queryKey: ['budgets'] })
    await queries.invalidateQueries({ queryKey: ['prices'] })
  }
  return {
    create: useMutation({
      mutationFn: async (body: BudgetCreate) => bodyOf(await api.POST('/api/v1/budgets', { body })),
      onSettled,
    }),
    change: useMutation({
      mutationFn: async ({
        id,
        ...body
      }: {
        id: string
        most: string
        hard: boolean
        warn_percent: number
      }) =>
        bodyOf(await api.PATCH('/api/v1/budgets/{budget_id}', { params: { path: { budget_id: id } }, body })),
      onSettled,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/budgets/{budget_id}', { params: { path: { budget_id: id } } })
      },
      onSettled,
    }),
    price: useMutation({
      mutationFn: async (body: PriceCreate) => bodyOf(await api.POST('/api/v1/prices', { body })),
      onSettled,
    }),
  }
}
