/** How a webhook is, in a word. */
import type { DeliveryState, Webhook } from '../../api/webhooks'
import type { Tone } from '../../ui/Tag'

export type WebhookCondition = 'working' | 'failing' | 'off' | 'untried'

export const TONE: Record<WebhookCondition, Tone> = {
  working: 'ok',
  failing: 'bad',
  off: 'plain',
  untried: 'plain',
}
export const DELIVERY_TONE: Record<DeliveryState, Tone> = {
  waiting: 'accent',
  delivered: 'ok',
  failed: 'bad',
}

export function conditionOf(
  webhook: Pick<Webhook, 'enabled' | 'failing_since' | 'succeeded_at'>,
): WebhookCondition {
  if (!webhook.enabled) return 'off'
  if (webhook.failing_since !== null) return 'failing'
  return webhook.succeeded_at === null ? 'untried' : 'working'
}
