/** Usage over a time: totals beside the time before, and apart by model, user, key, node, time, or organisation. */
import { Button, Select } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../api/session'
import {
  accessFile,
  usageFile,
  useTenantsUsage,
  useTotals,
  useUsage,
  type By,
  type Totals,
} from '../../api/usage'
import { count, day, money, plainId } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tile } from '../../ui/Tile'
import { before, between, changeOf, SPANS, type Span } from './spans'
import classes from './UsagePage.module.css'

const TIMES = ['day', 'week', 'month'] as const
const SUBJECTS = ['model', 'user', 'key', 'node'] as const
/** What nodes cost, and what is charged by the price list. */
const MONEY = ['cost', 'charge'] as const
type Apart = By | 'tenant'

/** One line of the table, whatever it is apart by. */
interface Line extends Totals {
  id: string
  name: string
  before: Totals | null
}

export function UsagePage() {
  const { t } = useTranslation('usage')
  const isOperator = useMay('tenant.manage')
  const search: Record<string, unknown> = useSearch({ strict: false })
  const navigate = useNavigate()
  const apart: Apart[] = [...SUBJECTS, ...TIMES, ...(isOperator ? (['tenant'] as const) : [])]
  const span = SPANS.find((each) => each === search.span) ?? 'month'
  const by = apart.find((each) => each === search.by) ?? 'model'
  const choose = (change: { span?: string; by?: string }) => {
    void navigate({ to: '.', replace: true, search: { ...search, ...change } as never })
  }
  // Times of one day are one question: a table that is looked at for a minute is not read anew each second.
  const today = new Date().toDateString()
  const chosen = useMemo(() => between(span, new Date(today)), [span, today])
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        by !== 'tenant' && (
          <>
            <Button component="a" href={accessFile(chosen)} download variant="default" size="sm">
              {t('accessFile')}
            </Button>
            <Button
              component="a"
              href={usageFile(by, chosen)}
              download
              variant="default"
              size="sm"
              leftSection={<IconDownload size={16} />}
            >
              {t('file')}
            </Button>
          </>
        )
      }
    >
      <div className={classes.tools}>
        <Select
          label={t('span.label')}
          size="sm"
          w={190}
          allowDeselect={false}
          data={SPANS.map((value) => ({ value, label: t(`span.${value}`) }))}
          value={span}
          onChange={(value) => {
            choose({ span: value ?? 'month' })
          }}
        />
        <Select
          label={t('by.label')}
          size="sm"
          w={190}
          allowDeselect={false}
          data={apart.map((value) => ({ value, label: t(`by.${value}`) }))}
          value={by}
          onChange={(value) => {
            choose({ by: value ?? 'model' })
          }}
        />
      </div>
      <Sums span={span} chosen={chosen} />
      {by === 'tenant' ? <OfTenants chosen={chosen} /> : <Groups by={by} chosen={chosen} />}
    </Page>
  )
}

type Between = ReturnType<typeof between>

function Sums({ span, chosen }: { span: Span; chosen: Between }) {
  const { t } = useTranslation('usage')
  const now = useTotals(chosen).data
  const then = useTotals(before(span, chosen)).data
  if (now === undefined) return null
  const change = (name: keyof Omit<Totals, 'costs' | 'charges'>) =>
    then === undefined ? undefined : (changeOf(now[name], then[name]) ?? undefined)
  return (
    <section className={classes.tiles} aria-label={t('totals')}>
      <Tile name={t('requests')} value={count(now.requests)} of={change('requests')} />
      <Tile name={t('in')} value={count(now.prompt_tokens)} of={change('prompt_tokens')} />
      <Tile name={t('cached')} value={count(now.cached_tokens)} of={change('cached_tokens')} />
      <Tile name={t('out')} value={count(now.completion_tokens)} of={change('completion_tokens')} />
      <Tile name={t('failed')} value={count(now.failed)} of={change('failed')} warn={now.failed > 0} />
      <Tile name={t('refused')} value={count(now.refused)} of={change('refused')} />
      {MONEY.map((of) => (
        <Tile
          key={of}
          name={t(of)}
          value={now[`${of}s`].length === 0 ? <NoData /> : amounts(now, of)}
          of={now[`${of}s`].length === 0 ? t('noPrice') : undefined}
        />
      ))}
    </section>
  )
}

function Groups({ by, chosen }: { by: By; chosen: Between }) {
  const { t } = useTranslation('usage')
  const isTime = by === 'day' || by === 'week' || by === 'month'
  const found = useUsage(by, chosen, !isTime)
  const lines = useMemo(
    () =>
      found.data?.map((row): Line => {
        const value = row[by] ?? ''
        const told = by === 'key' ? row.key_name : by === 'node' ? row.node_name : undefined
        const short = plainId(value).slice(-8)
        const plain = isTime && value !== '' ? day(value) : value || t('noName')
        const name = told === undefined || value === '' ? plain : told || t('gone', { id: short })
        return { ...row, id: value, name, before: row.before ?? null }
      }),
    [found.data, by, isTime, t],
  )
  return <Lines apart={by} lines={lines} error={found.error} refetch={found.refetch} compare={!isTime} />
}

function OfTenants({ chosen }: { chosen: Between }) {
  const found = useTenantsUsage(chosen, true)
  const lines = useMemo(
    () =>
      found.data?.map((row): Line => ({
        ...row,
        id: row.tenant,
        name: row.tenant_name ?? row.tenant,
        before: null,
      })),
    [found.data],
  )
  return <Lines apart="tenant" lines={lines} error={found.error} refetch={found.refetch} compare={false} />
}

interface LinesProps {
  apart: Apart
  lines: Line[] | undefined
  error: Error | null
  refetch: () => unknown
  compare: boolean
}

function Lines({ apart, lines, error, refetch, compare }: LinesProps) {
  const { t } = useTranslation('usage')
  const columns = useMemo((): Column<Line>[] => {
    const number = (
      id: 'requests' | 'refused' | 'failed' | 'prompt_tokens' | 'completion_tokens' | 'cached_tokens',
      header: string,
    ) => ({
      id,
      header,
      value: (row: Line) => row[id],
      cell: (row: Line) => count(row[id]),
      align: 'right' as const,
      width: 106,
    })
    const found: Column<Line>[] = [
      { id: 'name', header: t(`by.${apart}`), value: (row) => row.name, primary: true },
      number('requests', t('requests')),
      number('prompt_tokens', t('in')),
      number('cached_tokens', t('cachedColumn')),
      number('completion_tokens', t('out')),
      number('failed', t('failed')),
      number('refused', t('refused')),
      ...MONEY.map((of): Column<Line> => ({
        id: of,
        header: t(of),
        value: (row) =>
          row[`${of}s`].length === 0
            ? null
            : row[`${of}s`].reduce((sum, each) => sum + Number(each.amount), 0),
        cell: (row) => (row[`${of}s`].length === 0 ? <NoData /> : amounts(row, of)),
        align: 'right',
        width: 110,
      })),
    ]
    if (compare)
      found.push({
        id: 'change',
        header: t('change'),
        value: (row) => (row.before === null ? null : row.requests - row.before.requests),
        cell: (row) => changeOf(row.requests, row.before?.requests ?? 0) ?? t('new'),
        align: 'right',
        width: 110,
      })
    return found
  }, [apart, compare, t])
  return (
    <DataTable
      key={apart}
      id={`usage-${apart}`}
      label={t('groups', { by: t(`by.${apart}`) })}
      columns={columns}
      list={{ rows: lines, error, refetch, ...(lines === undefined ? {} : { total: lines.length }) }}
      idOf={(row) => row.id}
      empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
    />
  )
}

const amounts = (totals: Totals, of: (typeof MONEY)[number]): string =>
  totals[`${of}s`].map((each) => money(Number(each.amount), each.currency)).join(', ')
