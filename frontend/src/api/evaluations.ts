/** Evaluation suites, evaluations of versions and their results, and what promotion requires. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Suite = components['schemas']['Suite']
export type SuiteListed = components['schemas']['SuiteListed']
export type SuiteCreate = components['schemas']['SuiteCreate']
export type Evaluation = components['schemas']['Evaluation']
export type EvaluationState = NonNullable<Evaluation['state']>
export type EvaluationResult = components['schemas']['EvaluationResult']
export type Requirement = components['schemas']['Requirement']

const page = (cursor: string | undefined) => ({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })
const OFTEN = 2_000

export const isOpen = (evaluation: Evaluation): boolean =>
  evaluation.state === 'waiting' || evaluation.state === 'running'

export const useSuites = () =>
  usePages<SuiteListed>(
    ['evaluation-suites'],
    async (cursor) => bodyOf(await api.GET('/api/v1/evaluation-suites', { params: { query: page(cursor) } })),
    { refetchInterval: 10_000 },
  )

/** One with its cases. */
export const useSuite = (id: string) =>
  useQuery({
    queryKey: ['evaluation-suites', id],
    queryFn: async (): Promise<Suite> =>
      bodyOf(await api.GET('/api/v1/evaluation-suites/{suite_id}', { params: { path: { suite_id: id } } })),
  })

export const useRequirements = () =>
  useQuery({
    queryKey: ['evaluation-requirements'],
    queryFn: async (): Promise<readonly Requirement[]> =>
      bodyOf(await api.GET('/api/v1/evaluation-requirements', { params: { query: { limit: 200 } } })).results,
  })

/** Of all models, or of one by its name without the tag. */
export const useEvaluations = (model?: string) =>
  usePages<Evaluation>(
    ['evaluations', model ?? ''],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/evaluations', {
          params: { query: { ...page(cursor), ...(model === undefined ? {} : { model }) } },
        }),
      ),
    { refetchInterval: OFTEN },
  )

/** In the order of the suite. */
export const useResults = (evaluation: Evaluation) =>
  usePages<EvaluationResult>(['evaluations', evaluation.id, 'results', evaluation.done], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/evaluations/{evaluation_id}/results', {
        params: { path: { evaluation_id: evaluation.id }, query: page(cursor) },
      }),
    ),
  )

/** What can be done; lists are read anew afterwards. */
export function useEvaluationActs() {
  const queries = useQueryClient()
  const onSettled = () =>
    Promise.all(
      ['evaluation-suites', 'evaluation-requirements', 'evaluations'].map((key) =>
        queries.invalidateQueries({ queryKey: [key] }),
      ),
    )
  return {
    make: useMutation({
      mutationFn: async (body: SuiteCreate) => bodyOf(await api.POST('/api/v1/evaluation-suites', { body })),
      onSettled,
    }),
    change: useMutation({
      mutationFn: async ({ id, ...body }: SuiteCreate & { id: string }) =>
        bodyOf(
          await api.PATCH('/api/v1/evaluation-suites/{suite_id}', {
            params: { path: { suite_id: id } },
            body,
          }),
        ),
      onSettled,
    }),
    forget: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/evaluation-suites/{suite_id}', { params: { path: { suite_id: id } } })
      },
      onSettled,
    }),
    start: useMutation({
      mutationFn: async ({ release, ...body }: { release: string; suite: string; key: string }) =>
        bodyOf(
          await api.POST('/api/v1/versions/{release_id}/evaluations', {
            params: { path: { release_id: release } },
            body: body as components['schemas']['EvaluationStart'],
          }),
        ),
      onSettled,
    }),
    cancel: useMutation({
      mutationFn: async (id: string) => {
        await api.POST('/api/v1/evaluations/{evaluation_id}/cancel', {
          params: { path: { evaluation_id: id } },
        })
      },
      onSettled,
    }),
    require: useMutation({
      mutationFn: async (body: components['schemas']['RequirementCreate']) =>
        bodyOf(await api.POST('/api/v1/evaluation-requirements', { body })),
      onSettled,
    }),
    requireNoMore: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/evaluation-requirements/{requirement_id}', {
          params: { path: { requirement_id: id } },
        })
      },
      onSettled,
    }),
  }
}
