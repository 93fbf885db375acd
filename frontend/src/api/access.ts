/** Who may do what in the tenant: roles, teams, service accounts, grants, and the reasons behind them. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { CreatedKey, Key } from './keys'
import { usePages } from './pages'
import type { components } from './schema'
import type { Permission } from './session'

export type Role = components['schemas']['Role']
export type Team = components['schemas']['Team']
export type TeamMember = components['schemas']['TeamMember']
export type ServiceAccount = components['schemas']['ServiceAccount']
export type Reason = components['schemas']['AccessReason']
export type Holder = components['schemas']['AccessHolder']
export type Rights = components['schemas']['AccessRights']
export type Target = components['schemas']['ObjectName']
export type ObjectKind = Target['kind']
type GrantPermission = components['schemas']['GrantCreate']['permission']

/** What can be granted on a single object of a kind; on a pool it counts on each of its nodes. */
export const ON_OBJECTS: Record<ObjectKind, readonly GrantPermission[]> = {
  model: ['inference.use', 'model.view', 'model.manage', 'model.promote'],
  node: ['node.view', 'node.manage'],
  pool: ['node.view', 'node.manage'],
}

/** Every permission, as the console lists them. */
export const PERMISSIONS = [
  'inference.use',
  'model.view',
  'model.manage',
  'model.promote',
  'node.view',
  'node.manage',
  'experiment.manage',
  'request.manage',
  'key.view',
  'key.manage',
  'usage.view',
  'prompt.view',
  'member.view',
  'member.manage',
  'webhook.manage',
  'sso.view',
  'sso.manage',
  'audit.view',
  'budget.manage',
  'audit.manage',
  'tenant.manage',
] as const satisfies readonly Permission[]

const page = (cursor: string | undefined) => ({ limit: 100, ...(cursor === undefined ? {} : { cursor }) })

export const useRoles = () =>
  usePages<Role>(['roles'], async (cursor) =>
    bodyOf(await api.GET('/api/v1/roles', { params: { query: page(cursor) } })),
  )

export const useTeams = () =>
  usePages<Team>(['teams'], async (cursor) =>
    bodyOf(await api.GET('/api/v1/teams', { params: { query: page(cursor) } })),
  )

export const useTeam = (id: string) =>
  useQuery({
    queryKey: ['teams', id],
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/teams/{team_id}', { params: { path: { team_id: id } } })),
  })

export const useTeamMembers = (id: string) =>
  usePages<TeamMember>(['teams', id, 'members'], async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/teams/{team_id}/members', {
        params: { path: { team_id: id }, query: page(cursor) },
      }),
    ),
  )

export const useServiceAccounts = () =>
  usePages<ServiceAccount>(['service-accounts'], async (cursor) =>
    bodyOf(await api.GET('/api/v1/service-accounts', { params: { query: page(cursor) } })),
  )

export const useServiceAccount = (id: string) =>
  useQuery({
    queryKey: ['service-accounts', id],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/service-accounts/{account_id}', { params: { path: { account_id: id } } }),
      ),
  })

/** The keys of a program, revoked ones too. */
export const useKeysOf = (user: string) =>
  usePages<Key>(['keys', 'of', user], async (cursor) =>
    bodyOf(await api.GET('/api/v1/keys', { params: { query: { ...page(cursor), created_by: user } } })),
  )

export interface Asked {
  permission: Permission
  on: { kind: ObjectKind; object: string } | null
}

export const useWhoMay = (asked: Asked) =>
  useQuery({
    queryKey: ['access', 'who', asked],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/access', {
          params: { query: { permission: asked.permission, ...(asked.on ?? {}) } },
        }),
      ),
  })

/** What a person or a program may, by the id of the membership. */
export const useRightsOf = (membership: string) =>
  useQuery({
    queryKey: ['access', 'member', membership],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/members/{membership_id}/access', {
          params: { path: { membership_id: membership } },
        }),
      ),
  })

/** The objects of a kind whose names have a text in them. */
export const useObjects = (kind: ObjectKind, name: string) =>
  useQuery({
    queryKey: ['access', 'objects', kind, name],
    queryFn: async () =>
      bodyOf(
        await api.GET('/api/v1/access/objects', {
          params: { query: { kind, limit: 50, ...(name === '' ? {} : { name }) } },
        }),
      ).results,
  })

const MOST_CHOICES = 1000

/** People and programs that can be put into a team: the id of the membership, and a name. */
export const useHolderChoices = () =>
  useQuery({
    queryKey: ['holder-choices'],
    queryFn: async () => {
      const found: { value: string; label: string }[] = []
      let cursor: string | undefined
      do {
        const some = bodyOf(await api.GET('/api/v1/members', { params: { query: page(cursor) } }))
        found.push(...some.results.map((row) => ({ value: row.id, label: row.email })))
        cursor = some.next ? (new URL(some.next).searchParams.get('cursor') ?? undefined) : undefined
      } while (cursor !== undefined && found.length < MOST_CHOICES)
      const programs = bodyOf(
        await api.GET('/api/v1/service-accounts', { params: { query: { limit: 200 } } }),
      )
      return [...found, ...programs.results.map((row) => ({ value: row.member, label: row.name }))]
    },
  })

export interface GrantGiven {
  permission: GrantPermission
  kind: ObjectKind
  object: string
}

export function useAccessActs() {
  const queries = useQueryClient()
  const onSettled = async () => {
    const keys = [
      'roles',
      'role-choices',
      'teams',
      'service-accounts',
      'access',
      'grants',
      'keys',
      'holder-choices',
    ]
    await Promise.all(keys.map((key) => queries.invalidateQueries({ queryKey: [key] })))
  }
  const act = <Given, Answer>(mutationFn: (given: Given) => Promise<Answer>) => ({ mutationFn, onSettled })
  return {
    createRole: useMutation(
      act(async (body: { slug: string; name: string; permissions: Permission[] }) =>
        bodyOf(await api.POST('/api/v1/roles', { body })),
      ),
    ),
    changeRole: useMutation(
      act(async ({ id, ...body }: { id: string; name: string; permissions: Permission[] }) =>
        bodyOf(await api.PATCH('/api/v1/roles/{role_id}', { params: { path: { role_id: id } }, body })),
      ),
    ),
    deleteRole: useMutation(
      act(async (id: string) => {
        await api.DELETE('/api/v1/roles/{role_id}', { params: { path: { role_id: id } } })
      }),
    ),
    createTeam: useMutation(
      act(async (body: { slug: string; name: string; role: string | null }) =>
        bodyOf(await api.POST('/api/v1/teams', { body })),
      ),
    ),
    changeTeam: useMutation(
      act(async ({ id, ...body }: { id: string; name: string; role: string | null }) =>
        bodyOf(await api.PATCH('/api/v1/teams/{team_id}', { params: { path: { team_id: id } }, body })),
      ),
    ),
    deleteTeam: useMutation(
      act(async (id: string) => {
        await api.DELETE('/api/v1/teams/{team_id}', { params: { path: { team_id: id } } })
      }),
    ),
    putIntoTeam: useMutation(
      act(async ({ team, member }: { team: string; member: string }) =>
        bodyOf(
          await api.POST('/api/v1/teams/{team_id}/members', {
            params: { path: { team_id: team } },
            body: { member },
          }),
        ),
      ),
    ),
    takeOutOfTeam: useMutation(
      act(async ({ team, member }: { team: string; member: string }) => {
        await api.DELETE('/api/v1/teams/{team_id}/members/{membership_id}', {
          params: { path: { team_id: team, membership_id: member } },
        })
      }),
    ),
    createAccount: useMutation(
      act(async (body: { name: string; description: string; role: string; team: string | null }) =>
        bodyOf(await api.POST('/api/v1/service-accounts', { body })),
      ),
    ),
    changeAccount: useMutation(
      act(
        async ({
          id,
          ...body
        }: {
          id: string
          description?: string
          role?: string
          team?: string | null
          state?: 'active' | 'suspended'
        }) =>
          bodyOf(
            await api.PATCH('/api/v1/service-accounts/{account_id}', {
              params: { path: { account_id: id } },
              body,
            }),
          ),
      ),
    ),
    deleteAccount: useMutation(
      act(async (id: string) => {
        await api.DELETE('/api/v1/service-accounts/{account_id}', { params: { path: { account_id: id } } })
      }),
    ),
    createKey: useMutation(
      act(
        async (body: {
          name: string
          permissions: Permission[]
          service_account: string
          expires_at: string | null
        }): Promise<CreatedKey> => bodyOf(await api.POST('/api/v1/keys', { body })),
      ),
    ),
    revokeKey: useMutation(
      act(async (id: string) => {
        await api.DELETE('/api/v1/keys/{key_id}', { params: { path: { key_id: id } } })
      }),
    ),
    grantToMember: useMutation(
      act(async (body: GrantGiven & { member: string }) =>
        bodyOf(await api.POST('/api/v1/grants', { body })),
      ),
    ),
    grantToTeam: useMutation(
      act(async (body: GrantGiven & { team: string }) =>
        bodyOf(await api.POST('/api/v1/team-grants', { body })),
      ),
    ),
    endGrant: useMutation(
      act(async ({ id, team }: { id: string; team: boolean }) => {
        if (team) await api.DELETE('/api/v1/team-grants/{grant_id}', { params: { path: { grant_id: id } } })
        else await api.DELETE('/api/v1/grants/{grant_id}', { params: { path: { grant_id: id } } })
      }),
    ),
  }
}

/** A grant to a member or to a team. */
export interface GrantRow {
  id: string
  /** A member's address or program's name, or a team's slug. */
  to: string
  team: boolean
  permission: string
  kind: string
  object: string
  created: string
}

/** Grants of the tenant, of one member or of one team. */
export function useGrants(of: { member?: string; team?: string }) {
  return useQuery({
    queryKey: ['grants', of],
    queryFn: async (): Promise<GrantRow[]> => {
      const members =
        of.team === undefined
          ? bodyOf(
              await api.GET('/api/v1/grants', {
                params: { query: { limit: 200, ...(of.member === undefined ? {} : { member: of.member }) } },
              }),
            ).results
          : []
      const teams =
        of.member === undefined
          ? bodyOf(
              await api.GET('/api/v1/team-grants', {
                params: { query: { limit: 200, ...(of.team === undefined ? {} : { team: of.team }) } },
              }),
            ).results
          : []
      return [
        ...members.map((row) => ({
          ...{ id: row.id, to: row.email, team: false, permission: row.permission },
          ...{ kind: row.kind, object: row.object, created: row.created_at },
        })),
        ...teams.map((row) => ({
          ...{ id: row.id, to: row.slug, team: true, permission: row.permission },
          ...{ kind: row.kind, object: row.object, created: row.created_at },
        })),
      ]
    },
  })
}
