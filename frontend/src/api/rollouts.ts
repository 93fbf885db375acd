/** Rollouts of a model's channels: what is under way, begun, paused, taken back. */
import { useQuery } from '@tanstack/react-query'
import { api, bodyOf } from './client'
import type { components } from './schema'

export type Rollout = components['schemas']['Rollout']
export type RolloutGate = components['schemas']['RolloutGate']
export type RolloutEvaluation = components['schemas']['RolloutEvaluation']
export type GateAsked = components['schemas']['EvaluationGate']
export type RolloutShadow = components['schemas']['RolloutShadow']
export type RolloutKind = NonNullable<Rollout['kind']>
export type StepAsked = components['schemas']['RolloutStep']
export type RolloutAct = 'pause' | 'resume' | 'advance' | 'roll-back'

/** The last rollouts of the model that has this channel, the newest first; asked for each two seconds while one is under way. */
export function useRollouts(id: string) {
  return useQuery({
    queryKey: ['model', id, 'rollouts'],
    queryFn: async (): Promise<readonly Rollout[]> =>
      bodyOf(
        await api.GET('/api/v1/models/{channel_id}/rollouts', {
          params: { path: { channel_id: id }, query: { limit: 20 } },
        }),
      ).results,
    refetchInterval: (query) => (query.state.data?.some(isOpen) ? 2_000 : 15_000),
  })
}

export const isOpen = (rollout: Rollout) => ['preloading', 'running', 'paused'].includes(rollout.state ?? '')

/** By the default gates, and with this gate `evaluation` besides; without `steps` by those that are usual of its kind. */
export async function startRollout(
  id: string,
  version: string,
  kind: RolloutKind,
  steps: StepAsked[] | null,
  evaluation: GateAsked | null,
  reason: string,
): Promise<void> {
  const gates = { evaluation } as components['schemas']['RolloutGates']
  bodyOf(
    await api.POST('/api/v1/models/{channel_id}/rollouts', {
      params: { path: { channel_id: id } },
      body: { version, kind, steps, gates, reason },
    }),
  )
}

export async function actOnRollout(id: string, act: RolloutAct): Promise<void> {
  const given = { params: { path: { rollout_id: id } }, body: { reason: '' } }
  bodyOf(
    act === 'pause'
      ? await api.POST('/api/v1/rollouts/{rollout_id}/pause', given)
      : act === 'resume'
        ? await api.POST('/api/v1/rollouts/{rollout_id}/resume', given)
        : act === 'advance'
          ? await api.POST('/api/v1/rollouts/{rollout_id}/advance', given)
          : await api.POST('/api/v1/rollouts/{rollout_id}/roll-back', given),
  )
}
