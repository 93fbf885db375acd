/** The rows as a list of cards, where a table would not fit. */
import { Checkbox } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { RowData } from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { textOf } from './column'
import classes from './DataTable.module.css'
import { CellOf, VIRTUAL_FROM, type PartProps } from './Grid'
import { useKeptFocus } from './useKeptFocus'

/** A text of more characters than these has a line of its own. */
const LONG = 40

export function Cards<Row extends RowData>(props: PartProps<Row>) {
  const { table, rows, columns, list, label, acts, linkOf, rowActions, toneOf, selection, hold } = props
  const { t } = useTranslation()
  const box = useRef<HTMLUListElement>(null)
  const focus = useKeptFocus(box, rows)
  const shown = table
    .getVisibleLeafColumns()
    .flatMap((each) => columns.find((column) => column.id === each.id) ?? [])
  const primary = columns.find((column) => column.primary)
  const virtual = rows.length >= VIRTUAL_FROM
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing of it is passed to memoized components
  const virtualizer = useVirtualizer({
    count: rows.length,
    enabled: virtual,
    getScrollElement: () => box.current,
    estimateSize: () => 56 + 24 * shown.length,
    getItemKey: (index) => rows[index]?.id ?? index,
    overscan: 4,
  })
  const items = virtual
    ? virtualizer.getVirtualItems().map(({ index, start }) => ({ index, start }))
    : rows.map((_row, index) => ({ index, start: 0 }))
  const last = items.at(-1)?.index ?? 0
  const { more, loadingMore } = list
  useEffect(() => {
    if (virtual && last >= rows.length - 4 && loadingMore !== true) more?.()
  }, [virtual, last, rows.length, more, loadingMore])
  return (
    <ul
      ref={box}
      className={classes.cards}
      data-virtual={virtual}
      aria-label={label}
      {...(virtual ? { tabIndex: 0 } : {})}
      onPointerEnter={() => {
        hold(true)
      }}
      onPointerLeave={() => {
        hold(false)
      }}
      {...focus.handlers}
    >
      {virtual && <li aria-hidden="true" style={{ height: items[0]?.start ?? 0 }} className={classes.gap} />}
      {items.map(({ index }) => {
        const row = rows[index]
        if (row === undefined) return null
        const link = linkOf?.(row.original)
        const title = primary === undefined ? null : <CellOf column={primary} row={row.original} />
        return (
          <li
            key={row.id}
            ref={virtual ? virtualizer.measureElement : undefined}
            data-index={index}
            data-row={index}
            data-tone={toneOf?.(row.original)}
            className={classes.card}
          >
            <div className={classes.cardHead}>
              {acts !== undefined && acts.length > 0 && (
                <Checkbox
                  size="sm"
                  aria-label={t('table.select', { name: textOf(primary?.value(row.original)) })}
                  checked={selection[row.id] === true}
                  onChange={(event) => {
                    row.toggleSelected(event.currentTarget.checked)
                  }}
                />
              )}
              <div className={classes.cardTitle}>
                {link === undefined ? (
                  title
                ) : (
                  <Link {...(link as { to: string })} className={classes.link}>
                    {title}
                  </Link>
                )}
              </div>
              {rowActions?.(row.original)}
            </div>
            <dl className={classes.facts}>
              {shown
                .filter((column) => column.primary !== true)
                .map((column) => (
                  <div
                    key={column.id}
                    data-column={column.id}
                    data-long={textOf(column.value(row.original)).length > LONG}
                  >
                    <dt>{column.header}</dt>
                    <dd>
                      <CellOf column={column} row={row.original} />
                    </dd>
                  </div>
                ))}
            </dl>
          </li>
        )
      })}
      {virtual && (
        <li
          aria-hidden="true"
          className={classes.gap}
          style={{
            height: Math.max(
              0,
              virtualizer.getTotalSize() - (virtualizer.getVirtualItems().at(-1)?.end ?? 0),
            ),
          }}
        />
      )}
    </ul>
  )
}
