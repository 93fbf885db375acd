/** What the server is asked for a list of requests, of what is chosen of its table. Pure. */
import type { RequestQuery } from '../../api/requests'
import type { TableState } from '../../ui/table/column'

/** A text of hexadecimal digits is how an id begins, any other is a model's name. */
export function queryOf({ text, filters }: Pick<TableState, 'text' | 'filters'>): RequestQuery {
  const word = text.trim()
  const query: RequestQuery = {}
  if (/^[0-9a-f-]{4,36}$/i.test(word)) query.id = word
  else if (word !== '') query.model = word.includes(':') ? word : `${word}:latest`
  const outcome = filters.outcome ?? []
  if (outcome.length > 0) query.outcome = [...outcome] as NonNullable<RequestQuery['outcome']>
  const slower = filters.slower?.[0]
  if (slower !== undefined) query.slower_than_ms = Number(slower)
  return query
}
