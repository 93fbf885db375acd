/** Parameters of a model as lines, `name value`, as a Modelfile has them. */

/** `null` for a line that is none. A name that comes twice is a list. Pure. */
export function parametersOf(text: string): Record<string, unknown> | null {
  const found: Record<string, unknown> = {}
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '') continue
    const [, name, said] = /^([a-z_]+)[\s=:]+(.+)$/.exec(line) ?? []
    if (name === undefined || said === undefined) return null
    const value = valueOf(said)
    const before = found[name]
    // What stops an answer is always a list.
    if (name === 'stop')
      found[name] = [...(Array.isArray(before) ? (before as unknown[]) : []), String(value)]
    else found[name] = value
  }
  return found
}

function valueOf(said: string): unknown {
  const quoted = /^"(.*)"$/.exec(said)
  if (quoted?.[1] !== undefined) return quoted[1]
  if (said === 'true' || said === 'false') return said === 'true'
  const number = Number(said)
  return Number.isFinite(number) ? number : said
}
