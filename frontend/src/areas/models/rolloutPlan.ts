/** The kind of a rollout and its steps, from what a form asks. Pure. */
import type { RolloutKind, StepAsked } from '../../api/rollouts'

export interface PlanValues {
  kind: RolloutKind
  /** In minutes; of a blue-green rollout. */
  hold: number | string
  /** A share of requests, as text: what a choice holds; empty: no shadow traffic. */
  shadow: string
}

export const KINDS = ['staged', 'blue_green', 'shadow'] as const
export const SHADOW_SHARES = [0.01, 0.05, 0.1, 0.25, 1] as const
export const NO_PLAN: PlanValues = { kind: 'staged', hold: 15, shadow: '' }

const MOST_MINUTES = 43_200
const LEAST_ANSWERS = 100
const SHADOW_SECONDS = 900
/** As the server has them by default. */
const STAGED: readonly StepAsked[] = [
  ...[0.01, 0.05, 0.25, 0.5].map((share) => ({
    share,
    seconds: 300,
    requests: LEAST_ANSWERS,
    shadow: false,
  })),
  { share: 1, seconds: 0, requests: 0, shadow: false },
]

/** Whether a blue-green rollout can be held for so long. */
export function isHold(values: PlanValues): boolean {
  const minutes = Number(values.hold)
  return values.kind !== 'blue_green' || (values.hold !== '' && minutes >= 1 && minutes <= MOST_MINUTES)
}

/** `null`: those that are usual of the kind. */
export function stepsOf(values: PlanValues): StepAsked[] | null {
  const shadow =
    values.shadow === ''
      ? []
      : [
          {
            share: Number(values.shadow),
            seconds: SHADOW_SECONDS,
            requests: LEAST_ANSWERS,
            shadow: true,
          },
        ]
  if (values.kind === 'shadow') return shadow.length > 0 ? shadow : null
  if (values.kind === 'blue_green') {
    const hold = { share: 1, seconds: Number(values.hold) * 60, requests: LEAST_ANSWERS, shadow: false }
    return [...shadow, hold]
  }
  return shadow.length > 0 ? [...shadow, ...STAGED] : null
}
