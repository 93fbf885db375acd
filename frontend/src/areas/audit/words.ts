/** The values of a record as text. */

/** A text as it is, and what has parts as JSON. Pure. */
export function valueText(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** The page of what a record is about, where there is one. Pure. */
export function pageOf(record: { target_type: string; target_id: string }): string | null {
  const id = record.target_id
  const folder = { node: '/nodes/', model: '/models/', request: '/requests/' }[record.target_type]
  return folder === undefined || !/^[0-9a-f-]{32,36}$/i.test(id) ? null : folder + id
}
