/** How a condition is coloured. */
import type { Tone } from '../../ui/Tag'
import type { NodeCondition } from './rows'

export const TONE: Record<NodeCondition, Tone> = {
  healthy: 'ok',
  degraded: 'warn',
  unhealthy: 'bad',
  silent: 'bad',
  unreachable: 'bad',
  lost: 'bad',
  joining: 'plain',
  unknown: 'plain',
  draining: 'accent',
  cordoned: 'accent',
}
