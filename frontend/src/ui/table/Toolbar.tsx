/** Above a table: the search, filters, columns, views, density, and the file of it. */
import { ActionIcon, CloseButton, Menu, MultiSelect, Select, TextInput, Tooltip } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconColumns3, IconDownload, IconLineHeight, IconSearch } from '@tabler/icons-react'
import type { ReactTable, RowData } from '@tanstack/react-table'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { preference, usePreference } from '../../app/preferences'
import { csvOf, download } from './csv'
import type { Features, Shown, SortedProps } from './DataTable'
import classes from './DataTable.module.css'
import { Views } from './Views'

interface ToolbarProps<Row extends RowData> extends SortedProps<Row> {
  table: ReactTable<Features, Row>
  rows: readonly Shown<Row>[]
  narrow: boolean
}

export function Toolbar<Row extends RowData>(props: ToolbarProps<Row>) {
  const { id, columns, view, table, rows, narrow, tools } = props
  const { t } = useTranslation()
  const { state } = view
  const compact = usePreference('density') !== 'roomy'
  return (
    <div className={classes.toolbar}>
      <SearchField text={state.text} onChange={(text) => view.change({ text })} />
      {columns.map(
        (column) =>
          column.filter !== undefined && (
            <MultiSelect
              key={column.id}
              size="xs"
              className={classes.filter}
              aria-label={column.header}
              placeholder={(state.filters[column.id] ?? []).length === 0 ? column.header : ''}
              data={[...column.filter]}
              value={[...(state.filters[column.id] ?? [])]}
              onChange={(values) => {
                view.change({ filters: { ...state.filters, [column.id]: values } })
              }}
              clearable
              comboboxProps={{ width: 'max-content', position: 'bottom-start' }}
            />
          ),
      )}
      {tools}
      {narrow && <SortSelect {...props} />}
      <div className={classes.right}>
        <Views id={id} view={view} />
        <Menu position="bottom-end" closeOnItemClick={false}>
          <Menu.Target>
            <ActionIcon
              variant="default"
              size={30}
              aria-label={t('table.columns')}
              title={t('table.columns')}
            >
              <IconColumns3 size={16} stroke={1.75} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {table
              .getAllLeafColumns()
              .filter((column) => column.getCanHide())
              .map((column) => (
                <Menu.CheckboxItem
                  key={column.id}
                  checked={column.getIsVisible()}
                  onChange={(visible) => {
                    const others = state.hidden.filter((each) => each !== column.id)
                    view.change({ hidden: visible ? others : [...others, column.id] })
                  }}
                >
                  {columns.find((each) => each.id === column.id)?.header}
                </Menu.CheckboxItem>
              ))}
          </Menu.Dropdown>
        </Menu>
        {!narrow && (
          <Tooltip label={t(compact ? 'table.roomy' : 'table.compact')}>
            <ActionIcon
              variant="default"
              size={30}
              aria-label={t(compact ? 'table.roomy' : 'table.compact')}
              onClick={() => {
                preference.set('density', compact ? 'roomy' : null)
              }}
            >
              <IconLineHeight size={16} stroke={1.75} />
            </ActionIcon>
          </Tooltip>
        )}
        <Tooltip label={t('table.csv')}>
          <ActionIcon
            variant="default"
            size={30}
            aria-label={t('table.csv')}
            onClick={() => {
              const shown = columns.filter((column) => !state.hidden.includes(column.id))
              download(
                `${id}.csv`,
                csvOf(
                  rows.map((row) => row.original),
                  shown,
                ),
              )
            }}
          >
            <IconDownload size={16} stroke={1.75} />
          </ActionIcon>
        </Tooltip>
      </div>
    </div>
  )
}

function SearchField({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const { t } = useTranslation()
  const [typed, setTyped] = useState(text)
  const [said, setSaid] = useState(text)
  const say = useDebouncedCallback((next: string) => {
    setSaid(next)
    onChange(next)
  }, 150)
  // The address changed by another way: a view, a reset, the browser's back.
  if (text !== said) {
    setSaid(text)
    setTyped(text)
  }
  const change = (next: string) => {
    setTyped(next)
    say(next)
  }
  return (
    <TextInput
      size="xs"
      className={classes.search}
      type="search"
      aria-label={t('table.search')}
      placeholder={t('table.search')}
      leftSection={<IconSearch size={14} />}
      value={typed}
      onChange={(event) => {
        change(event.currentTarget.value)
      }}
      rightSection={
        typed === '' ? undefined : (
          <CloseButton
            size="xs"
            aria-label={t('table.clearSearch')}
            onClick={() => {
              change('')
            }}
          />
        )
      }
    />
  )
}

/** Cards have no heads of columns to sort by. */
function SortSelect<Row extends RowData>({ columns, server, view }: ToolbarProps<Row>) {
  const { t } = useTranslation()
  const { sort } = view.state
  const choices = columns
    .filter((column) => (server ? column.orderBy !== undefined : column.sortable !== false))
    .flatMap((column) => [
      { value: column.id, label: `${column.header} ↑` },
      { value: `-${column.id}`, label: `${column.header} ↓` },
    ])
  return (
    <Select
      size="xs"
      className={classes.filter}
      aria-label={t('table.sort')}
      placeholder={t('table.sort')}
      data={choices}
      value={sort === null ? null : `${sort.desc ? '-' : ''}${sort.id}`}
      onChange={(value) => {
        view.change({
          sort: value === null ? null : { id: value.replace(/^-/, ''), desc: value.startsWith('-') },
        })
      }}
      clearable
    />
  )
}
