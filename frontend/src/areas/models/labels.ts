/** A taint and a toleration as text; the server checks them again. */
export const TAINT = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}(=[A-Za-z0-9._/-]{0,63})?:(no_schedule|no_execute)$/
export const TOLERATION =
  /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}(=[A-Za-z0-9._/-]{0,63})?(:(no_schedule|no_execute))?$/

/** Labels as a line of text: `gpu=h100, tier=gold`. */

export const linesOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')

/** `null` for what is no list of labels. Pure. */
export function labelsOf(text: string): Record<string, string> | null {
  const found: Record<string, string> = {}
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue
    const at = part.indexOf('=')
    if (at < 1) return null
    found[part.slice(0, at).trim()] = part.slice(at + 1).trim()
  }
  return found
}
