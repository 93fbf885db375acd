/** Numbers as people read them. */
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** 1536 → "1.5 KiB". */
export function bytes(value: number): string {
  let unit = 0
  let rest = value
  while (rest >= 1024 && unit < BINARY.length - 1) {
    rest /= 1024
    unit += 1
  }
  return `${significant(rest)} ${BINARY[unit] ?? 'B'}`
}

/** Used of total in the unit of the total: "9.1 / 16 GiB". */
export function bytesOf(used: number, total: number): string {
  const unit = total > 0 ? Math.min(Math.floor(Math.log2(total) / 10), BINARY.length - 1) : 0
  const scale = 1024 ** unit
  return `${significant(used / scale)} / ${significant(total / scale)} ${BINARY[unit] ?? 'B'}`
}

/** Bytes each second, in decimal units as network equipment has them: "1.2 MB/s". */
export function rate(value: number): string {
  const units = ['B/s', 'kB/s', 'MB/s', 'GB/s']
  let unit = 0
  let rest = value
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000
    unit += 1
  }
  return `${significant(rest)} ${units[unit] ?? 'B/s'}`
}

function significant(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0)
  return value.toFixed(1)
}

export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (part / whole) * 100)) : 0
}

/** Milliseconds: "0.8 ms", "82 ms", "1.24 s", "2 min 5 s". */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${ms.toFixed(0)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`
  return span(ms / 1000)
}

/** Seconds without fractions: "12 s", "2 min 5 s", "3 h 10 min", "2 d 4 h". */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`
}

/** An expected wait in milliseconds: "under 1 s", "12 s". It is an estimate, and no finer. */
export const expected = (ms: number): string => (ms < 1000 ? 'under 1 s' : span(Math.round(ms / 1000)))

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
})
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const COUNT = new Intl.NumberFormat('en')

/** The time of day of Unix seconds: "14:03:09". */
export const clockTime = (unix: number): string => CLOCK.format(unix * 1000)

/** Date and time of an ISO text, or of Unix seconds. */
export const dateTime = (value: string | number): string =>
  DATE.format(typeof value === 'number' ? value * 1000 : new Date(value))

/** 12345 → "12,345". */
export const count = (value: number): string => COUNT.format(value)

/** Tokens a second: one decimal below a hundred. */
export const perSecond = (value: number): string =>
  value >= 100 || value === 0 ? COUNT.format(Math.round(value)) : value.toFixed(1)
