/** Bundles: models of another installation in one signed file, sent by the registry protocol and taken in by a job. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { Job } from './jobs'
import type { components } from './schema'
import { sendFile, type UploadGrant, type UploadProgress } from './uploads'

/** Milliseconds before its end, from which a token is not begun with any more. */
const SPARE = 60_000

/** Sends the file, or what the server does not have of it, and has it taken in. Raises `Problem`, and what `signal` was aborted with. */
export async function importBundle(
  file: File,
  tell: (progress: UploadProgress) => void,
  signal: AbortSignal,
): Promise<Job> {
  let held: { grant: UploadGrant; until: number } | null = null
  const grant = async (anew: boolean): Promise<UploadGrant> => {
    if (anew || held === null || held.until - SPARE < Date.now()) {
      const made = bodyOf(await api.POST('/api/v1/bundles/upload-token', { signal }))
      held = { grant: made, until: Date.parse(made.expires_at) }
    }
    return held.grant
  }
  const digest = await sendFile(file, { grant, tell, signal })
  signal.throwIfAborted()
  return bodyOf(await api.POST('/api/v1/bundles/import', { body: { digest } }))
}

/** The ids of these channels by their names, as far as they are among those that were changed last. */
export function useChannelIds(names: readonly string[]) {
  return useQuery({
    queryKey: ['models', 'ids', names],
    queryFn: async (): Promise<ReadonlyMap<string, string>> => {
      const { results } = bodyOf(
        await api.GET('/api/v1/models', { params: { query: { ordering: '-moved_at', limit: 200 } } }),
      )
      return new Map(results.filter(({ name }) => names.includes(name)).map(({ name, id }) => [name, id]))
    },
    enabled: names.length > 0,
  })
}

export type Signers = components['schemas']['Signers']
export type Signer = components['schemas']['Signer']

const SIGNERS = ['bundle-signers']

async function readSigners(): Promise<Signers> {
  return bodyOf(await api.GET('/api/v1/bundles/signers'))
}

/** Whose bundles the organisation takes, and the key of this installation. */
export function useSigners(enabled: boolean) {
  return useQuery({ queryKey: SIGNERS, queryFn: readSigners, enabled })
}

/** Changes the list as it is on the server by then: others may have changed it since it was read. */
export function useChangeSigners() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (change: (signers: readonly Signer[]) => Signer[]): Promise<Signers> => {
      const { own, signers } = await readSigners()
      return bodyOf(await api.PUT('/api/v1/bundles/signers', { body: { own, signers: change(signers) } }))
    },
    onSuccess: (found) => {
      queries.setQueryData(SIGNERS, found)
    },
  })
}
