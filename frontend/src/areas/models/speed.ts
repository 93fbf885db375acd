/** How fast bytes come, of what was told in the last seconds. Pure. */

/** `at`: milliseconds on any clock that only goes forward. */
export interface Sample {
  at: number
  done: number
}

const SPAN = 10_000
/** Shorter than this says nothing. */
const LEAST = 500

/** Bytes a second, `null` while that is not known; and what has to be kept for the next time. */
export function speedOf(
  before: readonly Sample[],
  now: Sample,
): { speed: number | null; kept: readonly Sample[] } {
  const kept = [...before.filter(({ at }) => now.at - at <= SPAN), now]
  const first = kept[0] ?? now
  const passed = now.at - first.at
  return { speed: passed < LEAST ? null : ((now.done - first.done) / passed) * 1000, kept }
}
