/** Models of the tenant: what there is, and where it lies. */
import { useMutation, useQueries, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { HistorySeries } from './history'
import type { Job } from './jobs'
import { usePages } from './pages'
import type { components } from './schema'

export type Model = components['schemas']['Model']
export type Replica = components['schemas']['Replica']

export interface ModelsAsked {
  name?: string
  ordering?: 'name' | '-name' | 'moved_at' | '-moved_at'
}

export function useModels(asked: ModelsAsked = {}) {
  return usePages<Model>(
    ['models', asked],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/models', {
          params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
        }),
      ),
    { refetchInterval: 10_000 },
  )
}

export function useModel(id: string) {
  return useQuery({
    queryKey: ['model', id],
    queryFn: async (): Promise<Model> =>
      bodyOf(await api.GET('/api/v1/models/{channel_id}', { params: { path: { channel_id: id } } })),
    refetchInterval: 5_000,
  })
}

/** Where the replicas of a model stand: how many are ready or loaded, and how many are meant to be. */
export function readiness(replicas: readonly Replica[]): { ready: number; wanted: number; failed: number } {
  const wanted = replicas.filter((replica) => replica.desired !== 'absent')
  return {
    ready: wanted.filter((replica) => replica.state === 'ready').length,
    wanted: wanted.length,
    failed: wanted.filter((replica) => replica.state === 'failed').length,
  }
}

export type ModelUses = components['schemas']['Uses']
export type Alias = components['schemas']['Alias']
export type Fallback = components['schemas']['Fallback']
export type ModelChange = components['schemas']['PatchedModelChange']

/** What uses it, for who thinks of deleting it. */
export function useModelUses(id: string, enabled: boolean) {
  return useQuery({
    queryKey: ['model-uses', id],
    queryFn: async (): Promise<ModelUses> =>
      bodyOf(await api.GET('/api/v1/models/{channel_id}/uses', { params: { path: { channel_id: id } } })),
    enabled,
    gcTime: 0,
  })
}

export async function pullModel(body: { model: string; insecure: boolean }): Promise<Job> {
  return bodyOf(await api.POST('/api/v1/models/pull', { body }))
}

export async function createModel(body: components['schemas']['Creation']): Promise<Job> {
  return bodyOf(await api.POST('/api/v1/models/create', { body }))
}

export async function copyModel(id: string, name: string): Promise<Model> {
  return bodyOf(
    await api.POST('/api/v1/models/{channel_id}/copy', {
      params: { path: { channel_id: id } },
      body: { name },
    }),
  )
}

export async function changeModel(id: string, body: ModelChange): Promise<Model> {
  return bodyOf(
    await api.PATCH('/api/v1/models/{channel_id}', { params: { path: { channel_id: id } }, body }),
  )
}

/** Deletes a name, also what something points at: whoever calls it has told what that is. A job, where engines keep the model. */
export function useDeleteModel() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string): Promise<Job | undefined> => {
      const answer = await api.DELETE('/api/v1/models/{channel_id}', {
        params: { path: { channel_id: id }, query: { force: true } },
      })
      return answer.data
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['models'] }),
  })
}

/** Renew what is known of models, after something was done with one. */
export function useModelsChanged(): () => void {
  const queries = useQueryClient()
  return () => {
    for (const key of ['models', 'model', 'aliases', 'jobs'])
      void queries.invalidateQueries({ queryKey: [key] })
  }
}

/** Further names of a model. */
export function useAliases(target: string) {
  return useQuery({
    queryKey: ['aliases', target],
    queryFn: async (): Promise<Alias[]> =>
      bodyOf(await api.GET('/api/v1/aliases', { params: { query: { target, limit: 200 } } })).results,
  })
}

export async function createAlias(body: { name: string; target: string }): Promise<Alias> {
  return bodyOf(await api.POST('/api/v1/aliases', { body }))
}

export async function changeAlias(
  id: string,
  body: { target?: string; fallbacks?: Fallback[] },
): Promise<Alias> {
  return bodyOf(await api.PATCH('/api/v1/aliases/{alias_id}', { params: { path: { alias_id: id } }, body }))
}

export async function deleteAlias(id: string): Promise<void> {
  await api.DELETE('/api/v1/aliases/{alias_id}', { params: { path: { alias_id: id } } })
}

/** How a model did over a time: what its requests came to. `null` where none ended. */
export interface Traffic {
  requests: number
  failed: number
  /** Share of the requests that did not fail, 0 to 1. */
  uptime: number | null
  completionTokens: number
}

/** Pure. */
export function trafficOf(series: HistorySeries | undefined): Traffic {
  const sum = (name: string): number =>
    (series?.values[name] ?? []).reduce<number>((all, value) => all + (value ?? 0), 0)
  const requests = sum('requests')
  const failed = sum('failed')
  return {
    requests,
    failed,
    uptime: requests === 0 ? null : (requests - failed) / requests,
    completionTokens: sum('completion_tokens'),
  }
}

/** So many series one answer has at most. */
const AT_ONCE = 20

/** By name: how each did in the last day. */
export function useTrafficOfModels(names: readonly string[]): ReadonlyMap<string, Traffic> {
  const groups: string[][] = []
  for (let at = 0; at < names.length; at += AT_ONCE) groups.push(names.slice(at, at + AT_ONCE))
  return useQueries({
    queries: groups.map((group) => ({
      queryKey: ['traffic', group],
      queryFn: async () =>
        bodyOf(
          await api.GET('/api/v1/history', {
            params: {
              query: {
                series: group.map((name) => `model:${name}`),
                since: new Date(Date.now() - 86_400_000).toISOString(),
                step: 3600,
              },
            },
          }),
        ).series,
      refetchInterval: 60_000,
    })),
    combine: byName,
  })
}

function byName(answers: { data?: readonly HistorySeries[] | undefined }[]): ReadonlyMap<string, Traffic> {
  const series = answers.flatMap((answer) => answer.data ?? [])
  return new Map(series.map((each) => [each.series.replace(/^model:/, ''), trafficOf(each)]))
}
