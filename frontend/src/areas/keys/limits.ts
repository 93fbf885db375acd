/** The limits of a key in words. */
import type { TFunction } from 'i18next'
import { LIMIT_NAMES } from '../../api/limits'
import type { Key } from '../../api/keys'
import { count } from '../../ui/format'
import { isBound } from './reach'

/** What a key may ask for: "60 requests/min, 4 at once, low priority", or "None". */
export function limitsOf(
  key: Pick<Key, 'limits' | 'priority'> & Partial<Pick<Key, 'reach'>>,
  t: TFunction<'keys'>,
): string {
  const parts = [
    ...LIMIT_NAMES.map((name) => {
      const limit = key.limits[name]
      return limit != null && t(`said.${name}`, { number: count(limit) })
    }),
    key.priority !== 'normal' && t(`said.${key.priority}`),
    key.reach !== undefined && isBound(key.reach) && t('said.bound'),
  ].filter((part) => part !== false)
  return parts.length > 0 ? parts.join(', ') : t('said.none')
}
