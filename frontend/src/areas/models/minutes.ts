/** A time of day, `HH:MM`, as minutes after midnight. Pure. */

export const timeOf = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`

/** `null` for what is no time of day. */
export function minutesOf(text: string): number | null {
  const found = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text.trim())
  return found === null ? null : Number(found[1]) * 60 + Number(found[2])
}
