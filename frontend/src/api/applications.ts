/** Front ends whose people log in here: clients of the OpenID provider. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import { usePages } from './pages'
import type { components } from './schema'

export type Application = components['schemas']['Application']
export type CreatedApplication = components['schemas']['CreatedApplication']
export type ApplicationCreate = components['schemas']['ApplicationCreate']
export type ApplicationChange = components['schemas']['PatchedApplicationChange']

const APPLICATIONS = ['applications']
const one = (id: string) => ({ path: { application_id: id } })

export function useApplications() {
  return usePages<Application>(APPLICATIONS, async (cursor) =>
    bodyOf(
      await api.GET('/api/v1/applications', {
        params: { query: { limit: 100, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  )
}

export function useApplicationActs() {
  const queries = useQueryClient()
  const onSuccess = () => queries.invalidateQueries({ queryKey: APPLICATIONS })
  return {
    create: useMutation({
      mutationFn: async (body: ApplicationCreate): Promise<CreatedApplication> =>
        bodyOf(await api.POST('/api/v1/applications', { body })),
      onSuccess,
    }),
    change: useMutation({
      mutationFn: async ({ id, ...body }: { id: string } & ApplicationChange): Promise<Application> =>
        bodyOf(await api.PATCH('/api/v1/applications/{application_id}', { params: one(id), body })),
      onSuccess,
    }),
    rotate: useMutation({
      mutationFn: async (id: string): Promise<CreatedApplication> =>
        bodyOf(await api.POST('/api/v1/applications/{application_id}/rotate', { params: one(id) })),
      onSuccess,
    }),
    remove: useMutation({
      mutationFn: async (id: string) => {
        await api.DELETE('/api/v1/applications/{application_id}', { params: one(id) })
      },
      onSuccess,
    }),
  }
}
