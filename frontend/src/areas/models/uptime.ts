/** Uptime as people say it: whole while it is whole, and never rounded up to it. */
export function uptime(share: number | null): string {
  if (share === null) return '–'
  if (share >= 1) return '100 %'
  const percent = Math.floor(share * 10_000) / 100
  return `${percent.toFixed(percent >= 99 ? 2 : 1)} %`
}
