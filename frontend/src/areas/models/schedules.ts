/** Bounds by the time of day, a line each: `* 8-17 * * mon-fri: 2-4 Europe/Berlin`. Pure; the server checks them again. */
import type { Schedule } from '../../api/replication'

const LINE = /^(\S+ \S+ \S+ \S+ \S+): (\d{1,5})(?:-(\d{1,5}))?(?: (\S{1,64}))?$/

export const schedulesText = (schedules: readonly Schedule[]): string =>
  schedules
    .map(({ cron, least, most, zone }) => {
      const bounds = most == null ? String(least) : `${String(least)}-${String(most)}`
      return `${cron}: ${bounds}${zone === 'UTC' ? '' : ` ${zone}`}`
    })
    .join('\n')

/** `null` for what is no list of schedules. */
export function schedulesOf(text: string): Schedule[] | null {
  const found: Schedule[] = []
  for (const line of text.split('\n')) {
    const written = line.trim().replaceAll(/\s+/g, ' ')
    if (written === '') continue
    const parts = LINE.exec(written)
    if (parts === null) return null
    const [, cron = '', least = '0', most, zone = 'UTC'] = parts
    found.push({ cron, least: Number(least), most: most === undefined ? null : Number(most), zone })
  }
  return found
}
