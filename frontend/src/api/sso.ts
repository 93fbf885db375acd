/** Single sign-on: a tenant's identity providers, their rules, its domains and what it asks for; and the ways in for who is not logged in. */
import { queryOptions, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'
import { sessionQuery } from './session'

type Schemas = components['schemas']
export type Provider = Schemas['IdentityProvider']
export type ProviderChange = Schemas['PatchedIdentityProviderChange']
export type ProviderCreate = Schemas['IdentityProviderCreate']
export type Kind = NonNullable<ProviderCreate['kind']>
export type SamlShown = Schemas['SamlShown']
export type LdapShown = Schemas['LdapShown']
export type RoleRule = Schemas['RoleRule']
export type DryRun = Schemas['DryRun']
export type Tested = Schemas['ProviderTest']
export type EmailDomain = Schemas['EmailDomain']
export type BreakGlass = Schemas['BreakGlass']
export type ScimToken = Schemas['ScimToken']
export type Door = Schemas['Door']

const SSO = ['sso']
const one = (id: string) => ({ path: { provider_id: id } })

export const useProviders = () =>
  usePages<Provider>([...SSO, 'providers'], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/sso/providers', { params: { query: cursor === undefined ? {} : { cursor } } }),
    ),
  )

export const useProvider = (id: string) =>
  useQuery({
    queryKey: [...SSO, 'provider', id],
    queryFn: async () => bodyOf(await api.GET('/api/v1/sso/providers/{provider_id}', { params: one(id) })),
  })

export const useDomains = () =>
  usePages<EmailDomain>([...SSO, 'domains'], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/sso/domains', { params: { query: cursor === undefined ? {} : { cursor } } }),
    ),
  )

export const useBreakGlass = () =>
  usePages<BreakGlass>([...SSO, 'break-glass'], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/sso/break-glass', { params: { query: cursor === undefined ? {} : { cursor } } }),
    ),
  )

export const useSsoPolicy = () =>
  useQuery({ queryKey: [...SSO, 'policy'], queryFn: async () => bodyOf(await api.GET('/api/v1/sso/policy')) })

/** The slugs of the roles that can be given. */
export const useRoleSlugs = () =>
  useQuery({
    queryKey: [...SSO, 'roles'],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/roles', { params: { query: { limit: 200 } } })).results.map(
        (role) => role.slug,
      ),
  })

/** Members, to choose one among them. */
export const useMemberChoices = () =>
  useQuery({
    queryKey: [...SSO, 'members'],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/members', { params: { query: { limit: 200 } } })).results,
  })

function useChange<Given, Answer>(run: (given: Given) => Promise<Answer>) {
  const queries = useQueryClient()
  return useMutation({ mutationFn: run, onSuccess: () => queries.invalidateQueries({ queryKey: SSO }) })
}

export const useCreateProvider = () =>
  useChange(async (body: ProviderCreate) => bodyOf(await api.POST('/api/v1/sso/providers', { body })))
export const useChangeProvider = (id: string) =>
  useChange(async (body: ProviderChange) =>
    bodyOf(await api.PATCH('/api/v1/sso/providers/{provider_id}', { params: one(id), body })),
  )
export const useDeleteProvider = () =>
  useChange(async (id: string) => {
    await api.DELETE('/api/v1/sso/providers/{provider_id}', { params: one(id) })
  })
export const useAddDomain = () =>
  useChange(async (domain: string) => bodyOf(await api.POST('/api/v1/sso/domains', { body: { domain } })))
export const useVerifyDomain = () =>
  useChange(async (id: string) =>
    bodyOf(await api.POST('/api/v1/sso/domains/{domain_id}/verify', { params: { path: { domain_id: id } } })),
  )
export const useRemoveDomain = () =>
  useChange(async (id: string) => {
    await api.DELETE('/api/v1/sso/domains/{domain_id}', { params: { path: { domain_id: id } } })
  })
export const useEnforce = () =>
  useChange(async (enforced: boolean) =>
    bodyOf(await api.PATCH('/api/v1/sso/policy', { body: { enforced } })),
  )
export const useMarkAccount = () =>
  useChange(async (member: string) => bodyOf(await api.POST('/api/v1/sso/break-glass', { body: { member } })))
export const useUnmarkAccount = () =>
  useChange(async (id: string) => {
    await api.DELETE('/api/v1/sso/break-glass/{account_id}', { params: { path: { account_id: id } } })
  })

/** Name and password for a directory; the answer is where the browser goes now. */
export const logInAtDirectory = async (body: Schemas['DirectoryLogIn']) =>
  bodyOf(await api.POST('/api/v1/sso/directory-log-in', { body }))

/** What a provider's directory told by SCIM, and its tokens. */
export const useDirectory = (id: string) =>
  useQuery({
    queryKey: [...SSO, 'directory', id],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/sso/providers/{provider_id}/directory', { params: one(id) })),
  })
export const useMakeScimToken = (id: string) =>
  useChange(async (name: string) =>
    bodyOf(
      await api.POST('/api/v1/sso/providers/{provider_id}/directory/tokens', {
        params: one(id),
        body: { name },
      }),
    ),
  )
const OVERLAP_HOURS = 24
const token = (id: string, tokenId: string) => ({ path: { provider_id: id, token_id: tokenId } })
export const useRotateScimToken = (id: string) =>
  useChange(async (tokenId: string) =>
    bodyOf(
      await api.POST('/api/v1/sso/providers/{provider_id}/directory/tokens/{token_id}/rotate', {
        params: token(id, tokenId),
        body: { overlap_hours: OVERLAP_HOURS },
      }),
    ),
  )
export const useRevokeScimToken = (id: string) =>
  useChange(async (tokenId: string) => {
    await api.DELETE('/api/v1/sso/providers/{provider_id}/directory/tokens/{token_id}', {
      params: token(id, tokenId),
    })
  })

/** Who would get another role by these rules. Changes nothing. */
export const useDryRun = (id: string) =>
  useMutation({
    mutationFn: async (body: { rules: RoleRule[]; default_role: string | null }) =>
      bodyOf(await api.POST('/api/v1/sso/providers/{provider_id}/dry-run', { params: one(id), body })),
  })

/** Begin a test: the browser goes to the provider, and comes back to its page here. */
export const useBeginTest = (id: string) =>
  useMutation({
    mutationFn: async () =>
      bodyOf(await api.POST('/api/v1/sso/providers/{provider_id}/test', { params: one(id) })).url,
  })

/** What the last test of this session received; an error before there was one. */
export const useTested = (id: string, enabled: boolean) =>
  useQuery({
    queryKey: [...SSO, 'tested', id],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/sso/providers/{provider_id}/test', { params: one(id) })),
    enabled,
    retry: false,
  })

/** By which providers one can log in. */
export const findDoors = async (asked: { tenant: string } | { email: string }): Promise<Door[]> =>
  bodyOf(await api.POST('/api/v1/sso/doors', { body: asked })).results

export const doorsQuery = (tenant: string) =>
  queryOptions({ queryKey: [...SSO, 'doors', tenant], queryFn: () => findDoors({ tenant }) })

export const pendingLinkQuery = queryOptions({
  queryKey: [...SSO, 'link'],
  queryFn: async () => bodyOf(await api.GET('/api/v1/sso/link')),
  retry: false,
})

export function useLink() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (password: string) => {
      await api.POST('/api/v1/sso/link', { body: { password } })
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: sessionQuery.queryKey }),
  })
}
