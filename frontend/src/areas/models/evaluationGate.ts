/** The gate `evaluation` of a rollout, between a form in per cent and the API in shares. Pure. */
import { Problem } from '../../api/client'
import type { GateAsked } from '../../api/rollouts'

export interface GateValues {
  /** Of a suite, its id; empty: there is no such gate. */
  suite: string
  /** In per cent; empty: not asked for. */
  least_score: number | string
  margin: number | string
  /** A share, as text: what a choice holds. */
  from_share: string
}

/** Steps of a rollout by default, before which the gate can be asked for. */
export const FROM_SHARES = [0, 0.05, 0.25, 0.5, 1] as const
export const NO_GATE: GateValues = { suite: '', least_score: 90, margin: '', from_share: '0' }

export type GateFault = 'neither' | 'least' | 'margin'

/** What is wrong, and at which field; empty where nothing is, and where there is no gate. */
export function faultsOf(values: GateValues): Partial<Record<'least_score' | 'margin', GateFault>> {
  if (values.suite === '') return {}
  const least = numberOf(values.least_score)
  const margin = numberOf(values.margin)
  if (least === null && margin === null) return { least_score: 'neither' }
  return {
    ...(least !== null && !(least >= 0.1 && least <= 100) ? { least_score: 'least' } : {}),
    ...(margin !== null && !(margin >= 0 && margin <= 99) ? { margin: 'margin' } : {}),
  }
}

/** `null`: no gate. */
export function gateOf(values: GateValues): GateAsked | null {
  if (values.suite === '') return null
  return {
    suite: values.suite,
    least_score: shareOf(values.least_score),
    margin: shareOf(values.margin),
    from_share: Number(values.from_share),
  }
}

/** The same error with what it says of the gate at the form's own fields. */
export function atGate(error: unknown): unknown {
  if (!(error instanceof Problem)) return error
  const { status, code, message, retryAfter, confirming } = error
  const fields = Object.entries(error.fields).map(([path, said]): [string, readonly string[]] => [
    path === 'gates' || path === 'version' ? '' : path.replace(/^gates\.evaluation\./, ''),
    said,
  ])
  return new Problem(status, code, message, retryAfter, Object.fromEntries(fields), confirming)
}

const numberOf = (value: number | string): number | null => (value === '' ? null : Number(value))

/** Per cent with one place, as a share that is no binary remainder of it. */
function shareOf(value: number | string): number | null {
  const found = numberOf(value)
  return found === null ? null : Math.round(found * 10) / 1000
}
