/** Nodes, and the tokens with which hosts become nodes. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { NodeState } from '../live/types'
import type { components } from './schema'

export type Node = components['schemas']['Node']
export type JoinToken = components['schemas']['JoinToken']

const TOKENS = ['join-tokens']

export function useNode(id: string) {
  return useQuery({
    queryKey: ['node', id],
    queryFn: async (): Promise<Node> =>
      bodyOf(await api.GET('/api/v1/nodes/{node_id}', { params: { path: { node_id: id } } })),
    refetchInterval: 3_000,
  })
}

/** What the node said last: the schema leaves it open, the contract does not. */
export const telemetryOf = (node: Node): NodeState | null => node.telemetry as NodeState | null

/** Those of this name, looked for again and again while `watching`. */
export function useNodesNamed(name: string, watching: boolean) {
  return useQuery({
    queryKey: ['nodes-named', name],
    queryFn: async () => bodyOf(await api.GET('/api/v1/nodes', { params: { query: { name, limit: 50 } } })),
    enabled: watching && name !== '',
    refetchInterval: 2_000,
    select: (page) => page.results.find((node) => node.name === name),
  })
}

export type NodeChange = components['schemas']['PatchedNodeChange']

export async function changeNode(id: string, body: NodeChange): Promise<Node> {
  return bodyOf(await api.PATCH('/api/v1/nodes/{node_id}', { params: { path: { node_id: id } }, body }))
}

/** Cordon (`schedulable: false`), drain (with `drain_seconds`), or take requests again. */
export function useSchedule() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ id, ...body }: Pick<NodeChange, 'schedulable' | 'drain_seconds'> & { id: string }) =>
      changeNode(id, body),
    onSettled: () => queries.invalidateQueries({ queryKey: ['node'] }),
  })
}

export function useNodeChanged(): () => void {
  const queries = useQueryClient()
  return () => void queries.invalidateQueries({ queryKey: ['node'] })
}

export type LogSource = 'agent' | 'engine'
export type LogLine = components['schemas']['NodeLogLine']
const FOLLOW_EVERY = 2_000
const MOST_LINES = 2_000

interface Log {
  boot: string
  note: string
  lines: readonly LogLine[]
}

/** The log as the node tells it; while it is followed, what is new is asked for every two seconds. */
export function useNodeLog(id: string, source: LogSource, follow: boolean) {
  const queries = useQueryClient()
  const queryKey = ['node-log', id, source]
  return useQuery({
    queryKey,
    queryFn: async (): Promise<Log> => {
      const known = queries.getQueryData<Log>(queryKey)
      const after = known?.lines.at(-1)?.number ?? 0
      const ask = async (number: number) =>
        bodyOf(
          await api.GET('/api/v1/nodes/{node_id}/log', {
            params: { path: { node_id: id }, query: { part: source, after: number } },
          }),
        )
      const told = await ask(after)
      // The node was started anew: its numbers begin again.
      if (known !== undefined && told.boot !== known.boot) return ask(0)
      return { ...told, lines: [...(known?.lines ?? []), ...told.lines].slice(-MOST_LINES) }
    },
    refetchInterval: follow ? FOLLOW_EVERY : false,
    refetchOnWindowFocus: false,
    retry: false,
    gcTime: 0,
  })
}

export function useRemoveNode() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/nodes/{node_id}', { params: { path: { node_id: id } } })
    },
    // The one that is gone is not asked for again: its page is about to be left.
    onSuccess: (_gone, id) =>
      queries.invalidateQueries({
        predicate: ({ queryKey }) => queryKey[0] === 'node' && queryKey[1] !== id,
      }),
  })
}

export function useJoinTokens() {
  return useQuery({
    queryKey: TOKENS,
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/nodes/tokens', { params: { query: { limit: 200 } } })).results,
    refetchInterval: 10_000,
  })
}

export function useCreateJoinToken() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async () =>
      bodyOf(await api.POST('/api/v1/nodes/tokens', { body: { expires_in: 3600, max_uses: 1 } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: TOKENS }),
  })
}

export function useRevokeJoinToken() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/nodes/tokens/{token_id}', { params: { path: { token_id: id } } })
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: TOKENS }),
  })
}
