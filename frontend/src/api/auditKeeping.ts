/** How the audit trail is kept and where it is sent: retention, legal holds, erasures, and streams to syslog servers. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { Chain } from './audit'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

type Schemas = components['schemas']
export type AuditStream = Schemas['AuditStream']
export type AuditStreamCreate = Schemas['AuditStreamCreate']
export type LegalHold = Schemas['LegalHold']

const KEEPING = ['audit', 'keeping']
const of = (id: string) => ({ path: { stream_id: id } })

export const useAuditRetention = (chain: Chain) =>
  useQuery({
    queryKey: [...KEEPING, 'retention', chain],
    queryFn: async () => bodyOf(await api.GET('/api/v1/audit/retention', { params: { query: { chain } } })),
  })

export const useLegalHolds = (chain: Chain) =>
  usePages<LegalHold>([...KEEPING, 'holds', chain], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/audit/holds', {
        params: { query: { chain, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )

export const useAuditStreams = () =>
  usePages<AuditStream>(
    [...KEEPING, 'streams'],
    async (cursor) =>
      bodyOf(
        await api.GET('/api/v1/audit/streams', {
          params: { query: cursor === undefined ? {} : { cursor } },
        }),
      ),
    { refetchInterval: 5_000 },
  )

/** Everything that changes how the trail is kept. */
export function useKeepingActs() {
  const queries = useQueryClient()
  const onSuccess = () => queries.invalidateQueries({ queryKey: KEEPING })
  const create = useMutation({
    mutationFn: async (body: AuditStreamCreate) => bodyOf(await api.POST('/api/v1/audit/streams', { body })),
    onSuccess,
  })
  const enable = useMutation({
    mutationFn: async ({ id, enabled }: { id: string; enabled: boolean }) =>
      bodyOf(await api.PATCH('/api/v1/audit/streams/{stream_id}', { params: of(id), body: { enabled } })),
    onSuccess,
  })
  const remove = useMutation({
    mutationFn: async (id: string) => {
      await api.DELETE('/api/v1/audit/streams/{stream_id}', { params: of(id) })
    },
    onSuccess,
  })
  const hold = useMutation({
    mutationFn: async (body: { chain: Chain; reason: string }) =>
      bodyOf(await api.POST('/api/v1/audit/holds', { body })),
    onSuccess,
  })
  const release = useMutation({
    mutationFn: async (id: string) =>
      bodyOf(await api.POST('/api/v1/audit/holds/{hold_id}/release', { params: { path: { hold_id: id } } })),
    onSuccess,
  })
  const erase = useMutation({
    mutationFn: async (body: { chain: Chain; email: string; reason: string }) =>
      bodyOf(await api.POST('/api/v1/audit/erasures', { body })),
    onSuccess,
  })
  return { create, enable, remove, hold, release, erase }
}
