/** Lists of the API, which come in pages with a cursor to the next. */
import { keepPreviousData, useInfiniteQuery, type QueryKey } from '@tanstack/react-query'
import type { RowData } from '@tanstack/react-table'
import { useMemo } from 'react'
import type { Listed } from '../ui/table/DataTable'

interface Page<Row> {
  next?: string | null
  results: readonly Row[]
}

/** `read` asks for the page at a cursor, the first at `undefined`. What was read stays while `key` asks for something else. */
export function usePages<Row extends RowData>(
  key: QueryKey,
  read: (cursor: string | undefined) => Promise<Page<Row>>,
  options: { enabled?: boolean; refetchInterval?: number } = {},
): Listed<Row> & { isFetching: boolean } {
  const query = useInfiniteQuery({
    queryKey: key,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => read(pageParam),
    getNextPageParam: (page) => cursorOf(page.next),
    placeholderData: keepPreviousData,
    ...options,
  })
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.results), [query.data])
  return {
    rows,
    error: query.error,
    refetch: query.refetch,
    more: query.hasNextPage ? () => void query.fetchNextPage() : undefined,
    loadingMore: query.isFetchingNextPage,
    isFetching: query.isFetching,
  }
}

/** The cursor in the address of the next page. */
export function cursorOf(next: string | null | undefined): string | undefined {
  return next ? (new URL(next, window.location.origin).searchParams.get('cursor') ?? undefined) : undefined
}

/** `ordering` as the API takes it, of a table whose columns say `orderBy`. */
export function orderingOf(
  sort: { id: string; desc: boolean } | null,
  columns: readonly { id: string; orderBy?: string }[],
): string | undefined {
  const word = sort === null ? undefined : columns.find((column) => column.id === sort.id)?.orderBy
  return word === undefined ? undefined : `${sort?.desc === true ? '-' : ''}${word}`
}
