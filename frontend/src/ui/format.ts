/** The one way to write numbers, units, money, durations and times: in the viewer's language, and in their time zone. */
import i18next from 'i18next'
import { preference } from '../app/preferences'

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
const DECIMAL = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s']

/** The chosen language, in the browser's own flavour of it: en-GB has other dates than en-US. */
export function locale(): string {
  const language = i18next.language || 'en'
  return navigator.languages.find((each) => each.toLowerCase().startsWith(language)) ?? language
}

/** The chosen time zone, else the browser's own. */
export function zone(): string {
  return preference.get('zone') ?? Intl.DateTimeFormat().resolvedOptions().timeZone
}

const numbers = new Map<string, Intl.NumberFormat>()

function number(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const name = `${locale()} ${JSON.stringify(options)}`
  const made = numbers.get(name) ?? new Intl.NumberFormat(locale(), options)
  numbers.set(name, made)
  return made
}

const dates = new Map<string, Intl.DateTimeFormat>()

function date(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = `${locale()} ${zone()} ${JSON.stringify(options)}`
  const made = dates.get(name) ?? new Intl.DateTimeFormat(locale(), { ...options, timeZone: zone() })
  dates.set(name, made)
  return made
}

/** 12345 → "12,345". */
export const count = (value: number): string => number({ maximumFractionDigits: 0 }).format(value)

/** 1234567 → "1.2M": where there is little room, as on the axis of a chart. */
export const short = (value: number): string =>
  number({ notation: 'compact', maximumSignificantDigits: 3 }).format(value)

/** Three digits say enough of a measure: 1.25, 12.5, 125, 1,254. A whole number has no fraction. */
const significant = (value: number): string =>
  number({
    maximumFractionDigits: value >= 100 || Number.isInteger(value) ? 0 : 1,
    minimumFractionDigits: value >= 100 || Number.isInteger(value) ? 0 : 1,
  }).format(value)

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0
  let rest = value
  while (Math.abs(rest) >= base && unit < units.length - 1) {
    rest /= base
    unit += 1
  }
  return `${significant(rest)} ${units[unit] ?? ''}`
}

/** 1536 → "1.5 KiB". */
export const bytes = (value: number): string => scaled(value, 1024, BINARY)

/** Used of total in the unit of the total: "9.1 / 16 GiB". */
export function bytesOf(used: number, total: number): string {
  const unit = total > 0 ? Math.min(Math.floor(Math.log2(total) / 10), BINARY.length - 1) : 0
  const scale = 1024 ** unit
  return `${significant(used / scale)} / ${significant(total / scale)} ${BINARY[unit] ?? 'B'}`
}

/** Bytes each second, in decimal units as network equipment has them: "1.2 MB/s". */
export const rate = (value: number): string => scaled(value, 1000, DECIMAL)

/** 0 to 100, of a part and its whole; 0 of nothing. */
export function percent(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.max(0, (part / whole) * 100)) : 0
}

/** 0.0512 → "5.1 %" in the language's way; a share of 1. */
export const share = (value: number): string =>
  number({ style: 'percent', maximumFractionDigits: value !== 0 && Math.abs(value) < 0.1 ? 1 : 0 }).format(
    value,
  )

/** 1.5 and "EUR" → "€1.50"; below a cent as many digits as it needs to be seen; "" where nobody names the currency. */
export function money(value: number, currency: string): string {
  if (currency === '') return amountOfMoney(value)
  const small = value !== 0 && Math.abs(value) < 0.01
  return number({
    style: 'currency',
    currency,
    ...(small ? { maximumSignificantDigits: 2 } : {}),
  }).format(value)
}

/** What one of something costs, however little that is: "€0.0004". */
export const price = (value: number, currency: string): string =>
  number({ style: 'currency', currency, maximumFractionDigits: 9 }).format(value)

/** An amount of which nobody says the currency: "2,500.00", "0.05". */
export const amountOfMoney = (value: number): string =>
  number({
    minimumFractionDigits: 2,
    maximumFractionDigits: value !== 0 && Math.abs(value) < 0.01 ? 6 : 2,
  }).format(value)

/** Milliseconds: "0.8 ms", "82 ms", "1.24 s", "2 min 5 s". */
export function duration(ms: number): string {
  if (ms < 10) return `${number({ minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(ms)} ms`
  if (ms < 1000) return `${number({ maximumFractionDigits: 0 }).format(ms)} ms`
  if (ms < 60_000) {
    return `${number({ minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(ms / 1000)} s`
  }
  return span(ms / 1000)
}

/** A duration beside an axis, as short as it goes: "500 ms", "2.5 s", "2 min 0 s". Milliseconds. */
export function durationTick(ms: number): string {
  if (ms < 1000) return `${short(ms)} ms`
  return ms < 60_000 ? `${short(ms / 1000)} s` : span(ms / 1000)
}

/** The mean of a count: whole where it is, else with one digit. */
export const measure = (value: number): string =>
  number({ maximumFractionDigits: Number.isInteger(value) ? 0 : 1 }).format(value)

/** An identifier without its hyphens, as addresses and the live socket write it. */
export const plainId = (id: string): string => id.replaceAll('-', '')

/** Seconds without fractions: "12 s", "2 min 5 s", "3 h 10 min", "2 d 4 h". */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`
}

/** An expected wait in milliseconds: "under 1 s", "12 s". It is an estimate, and no finer. */
export const expected = (ms: number): string =>
  ms < 1000 ? i18next.t('time.underOne') : span(Math.round(ms / 1000))

/** Tokens a second: one decimal below a hundred. */
export const perSecond = (value: number): string =>
  number({
    maximumFractionDigits: value >= 100 || value === 0 ? 0 : 1,
    minimumFractionDigits: value >= 100 || value === 0 ? 0 : 1,
  }).format(value)

/** An ISO text, or Unix seconds. */
export type Time = string | number
const moment = (value: Time): Date => new Date(typeof value === 'number' ? value * 1000 : value)

/** The time of day: "14:03:09". */
export const clockTime = (value: Time): string =>
  date({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(moment(value))

/** "Nov 28, 2026, 14:03". */
export const dateTime = (value: Time): string =>
  date({ dateStyle: 'medium', timeStyle: 'short' }).format(moment(value))

/** "Nov 28, 2026". */
export const day = (value: Time): string => date({ dateStyle: 'medium' }).format(moment(value))

/** To the second, with the zone: for a title, where what is shown is short. */
export const exactly = (value: Time): string =>
  date({
    dateStyle: 'medium',
    timeStyle: 'long',
  }).format(moment(value))

const dayOf = (value: Time): string =>
  date({ year: 'numeric', month: '2-digit', day: '2-digit' }).format(moment(value))

/** The time of day alone when it is of the same day as `now` (Unix seconds), else with the day: where the day matters. */
export function when(value: Time, now: number = Date.now() / 1000): string {
  if (dayOf(value) === dayOf(now)) return clockTime(value)
  return date({
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(moment(value))
}

/** Of the ticks of an axis that spans so many seconds. */
export function tick(value: number, seconds: number): string {
  if (seconds <= 36 * 3600) {
    return date({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(value * 1000)
  }
  return date({ month: 'short', day: 'numeric' }).format(value * 1000)
}
