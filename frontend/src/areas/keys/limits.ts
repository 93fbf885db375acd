/** The limits of a key in words. */
import type { TFunction } from 'i18next'
import { LIMIT_NAMES } from '../../api/limits'
import type { Key } from '../../api/keys'
import { count } from '../../ui/format'
import { isBound } from './reach'

/** What a key may ask for, part by part: "60 requests/min", "4 at once", "low priority". */
function partsOf(
  key: Pick<Key, 'limits' | 'priority'> & Partial<Pick<Key, 'reach'>>,
  t: TFunction<'keys'>,
): string[] {
  return [
    ...LIMIT_NAMES.map((name) => {
      const limit = key.limits[name]
      return limit != null && t(`said.${name}`, { number: count(limit) })
    }),
    key.priority !== 'normal' && t(`said.${key.priority}`),
    key.reach !== undefined && isBound(key.reach) && t('said.bound'),
  ].filter((part) => part !== false)
}

/** "60 requests/min, 4 at once, low priority", or "None". */
export function limitsOf(...of: Parameters<typeof partsOf>): string {
  return partsOf(...of).join(', ') || of[1]('said.none')
}

/** The first of them and how many more there are: "60 requests/min +2". */
export function limitsInShort(...of: Parameters<typeof partsOf>): string {
  const [first, ...others] = partsOf(...of)
  if (first === undefined) return of[1]('said.none')
  return others.length === 0 ? first : `${first} +${String(others.length)}`
}
