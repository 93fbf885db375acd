/** The words of routing for people. A word that is not in the texts is shown as it is. */
import type { TFunction } from 'i18next'

/** In which part a node was ahead of the next; see `cluster.scheduling.routing`. */
export const ahead = (t: TFunction<'requests'>, reason: string): string =>
  t(`ahead.${reason as 'loaded'}`, { defaultValue: reason })

/** Why a node was left out; see `cluster.fleet.fleet`. */
export const ruledOut = (t: TFunction<'requests'>, reason: string): string =>
  t(`out.${reason as 'silent'}`, { defaultValue: reason })
