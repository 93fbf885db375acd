/** The audit trail: search, one record, whether it is as it was written, and the file of it. */
import { useMutation, useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type AuditRecord = components['schemas']['AuditRecord']
export type Chain = 'tenant' | 'system'
type Verified = components['schemas']['Verified']

export interface AuditAsked {
  chain: Chain
  search?: string
  action?: string
  actor?: string
  target_type?: string
  since?: string
  until?: string
}

export function useAudit(asked: AuditAsked) {
  return usePages<AuditRecord>(['audit', asked], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/audit', {
        params: { query: { ...asked, limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )
}

export function useAuditRecord(seq: number, chain: Chain) {
  return useQuery({
    queryKey: ['audit', 'record', chain, seq],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/audit/{seq}', { params: { path: { seq }, query: { chain } } })),
    staleTime: Infinity, // a record never changes
  })
}

export interface Check {
  checked: number
  last: number
  problems: Verified['problems']
}

/** Computes the hashes of the whole chain anew, a part at a time; `onPart` hears how far it is. */
export function useVerify(onPart: (check: Check) => void) {
  return useMutation({
    mutationFn: async (chain: Chain): Promise<Check> => {
      let check: Check = { checked: 0, last: 0, problems: [] }
      let begin: number | null = 1
      while (begin !== null) {
        const part: Verified = bodyOf(
          await api.GET('/api/v1/audit/verify', { params: { query: { chain, begin } } }),
        )
        check = { checked: part.end, last: part.last, problems: [...check.problems, ...part.problems] }
        onPart(check)
        begin = part.next
      }
      return check
    },
  })
}

export const AUDIT_FORMS = ['jsonl', 'csv', 'cef', 'ocsf'] as const
export type AuditForm = (typeof AUDIT_FORMS)[number]

/** Where the records that match are as a file, the oldest first. */
export function auditFile(asked: AuditAsked, form: AuditForm): string {
  return `/api/v1/audit/export?${new URLSearchParams({ ...asked, form }).toString()}`
}

/** What a record says of each field: what it became, and what it was where that is told. Pure. */
export function changesOf(detail: unknown): { name: string; after: unknown; before: unknown }[] {
  if (typeof detail !== 'object' || detail === null || Array.isArray(detail)) return []
  const { before, ...after } = detail as Record<string, unknown>
  const was =
    typeof before === 'object' && before !== null && !Array.isArray(before)
      ? (before as Record<string, unknown>)
      : null
  return [
    ...Object.entries(after).map(([name, value]) => ({ name, after: value, before: was?.[name] })),
    ...(was === null && before !== undefined ? [{ name: 'before', after: before, before: undefined }] : []),
  ]
}
