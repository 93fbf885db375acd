/** Chaos experiments: what is broken on purpose, what is to hold meanwhile, and what was measured. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { telemetryOf } from './nodes'
import { usePages } from './pages'
import type { components } from './schema'

export type Experiment = components['schemas']['Experiment']
export type ExperimentCreate = components['schemas']['ExperimentCreate']
export type ExperimentRun = components['schemas']['ExperimentRun']
export type Fault = Experiment['fault']

export const FAULTS = ['engine_freeze', 'engine_kill', 'agent_freeze', 'agent_kill', 'slow_answers'] as const

const page = (cursor: string | undefined) => ({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })
const SLOWLY = 10_000
const SOON = 2_000

export const useExperiments = () =>
  usePages<Experiment>(
    ['experiments'],
    async (cursor) => bodyOf(await api.GET('/api/v1/experiments', { params: { query: page(cursor) } })),
    { refetchInterval: SLOWLY },
  )

export const useExperiment = (id: string) =>
  useQuery({
    queryKey: ['experiments', id],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/experiments/{experiment_id}', { params: { path: { experiment_id: id } } }),
      ),
    refetchInterval: SLOWLY,
  })

/** The last runs, the newest first; looked at often while one is under way. */
export const useRuns = (id: string) =>
  useQuery({
    queryKey: ['experiments', id, 'runs'],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/experiments/{experiment_id}/runs', {
          params: { path: { experiment_id: id }, query: { limit: 20 } },
        }),
      ).results,
    refetchInterval: ({ state }) => (state.data?.[0]?.state === 'running' ? SOON : SLOWLY),
  })

export interface Host {
  id: string
  name: string
  /** Faults that its owner allows; none while it is not heard. */
  faults: readonly Fault[]
}

/** Nodes by id, with what their hosts allow. */
export const useHosts = () =>
  useQuery({
    queryKey: ['experiment-hosts'],
    queryFn: async (): Promise<Host[]> => {
      const found = bodyOf(await api.GET('/api/v1/nodes', { params: { query: { limit: 200 } } })).results
      return found.map((node) => ({
        id: node.id,
        name: node.name,
        faults: telemetryOf(node)?.faults ?? [],
      }))
    },
    refetchInterval: SLOWLY,
  })

export function useExperimentActs() {
  const queries = useQueryClient()
  const onSettled = () => queries.invalidateQueries({ queryKey: ['experiments'] })
  const path = (id: string) => ({ params: { path: { experiment_id: id } } })
  return {
    create: useMutation({
      mutationFn: async (body: ExperimentCreate) => bodyOf(await api.POST('/api/v1/experiments', { body })),
      onSettled,
    }),
    schedule: useMutation({
      mutationFn: async ({ id, hours }: { id: string; hours: number | null }) =>
        bodyOf(
          await api.PATCH('/api/v1/experiments/{experiment_id}', {
            ...path(id),
            body: { every_hours: hours },
          }),
        ),
      onSettled,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/experiments/{experiment_id}', path(id))
      },
      onSettled,
    }),
    run: useMutation({
      mutationFn: async (id: string) =>
        bodyOf(await api.POST('/api/v1/experiments/{experiment_id}/runs', path(id))),
      onSettled,
    }),
    stop: useMutation({
      mutationFn: async (id: string) =>
        bodyOf(await api.POST('/api/v1/experiments/{experiment_id}/stop', path(id))),
      onSettled,
    }),
  }
}
