/** Join tokens: what a host needs to become a node. */
import { useMutation } from '@tanstack/react-query'
import { api, bodyOf } from './client'

export function useCreateJoinToken() {
  return useMutation({
    mutationFn: async () =>
      bodyOf(await api.POST('/api/v1/nodes/tokens', { body: { expires_in: 3600, max_uses: 1 } })),
  })
}
