/** The limits of a key in words. */
import type { Key } from '../../api/keys'

/** What a key may ask for: "60 requests/min, 4 at once, low priority", or "None". */
export function limitsOf(key: Pick<Key, 'limits' | 'priority'>): string {
  const { requests_per_minute, tokens_per_minute, concurrent_requests } = key.limits
  const parts = [
    requests_per_minute != null && `${requests_per_minute.toLocaleString('en')} requests/min`,
    tokens_per_minute != null && `${tokens_per_minute.toLocaleString('en')} tokens/min`,
    concurrent_requests != null && `${concurrent_requests.toLocaleString('en')} at once`,
    key.priority !== 'normal' && `${key.priority} priority`,
  ].filter((part) => part !== false)
  return parts.length > 0 ? parts.join(', ') : 'None'
}
