/** The text as a list of cases, which the server checks further; `null` for what is no list of objects. Pure. */
export function casesOf(text: string): readonly object[] | null {
  try {
    const found: unknown = JSON.parse(text)
    const isList = Array.isArray(found) && found.length > 0
    return isList && found.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each))
      ? (found as readonly object[])
      : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
