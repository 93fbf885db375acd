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

/** Drain (`false`) or resume. */
export function useSchedule() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async ({ id, schedulable }: { id: string; schedulable: boolean }) =>
      bodyOf(
        await api.PATCH('/api/v1/nodes/{node_id}', {
          params: { path: { node_id: id } },
          body: { schedulable },
        }),
      ),
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['node'] }),
        queries.invalidateQueries({ queryKey: ['health'] }),
      ]),
  })
}

export function useRemoveNode() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/nodes/{node_id}', { params: { path: { node_id: id } } })
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['health'] }),
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
