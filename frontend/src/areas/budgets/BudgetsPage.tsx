/** How much may be spent, by whom and in which time, how much of it is, and what models cost. */
import { Button, Group, Title } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useBudgetActs, useBudgets, usePrices, type Budget, type Price } from '../../api/budgets'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { amountOfMoney, count, exactly, measure, money, price, share, span, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag } from '../../ui/Tag'
import { BudgetForm } from './BudgetForm'
import { PriceForm } from './PriceForm'

export function BudgetsPage() {
  const { t } = useTranslation('budgets')
  const mayManage = useMay('budget.manage')
  const list = useBudgets()
  const { remove } = useBudgetActs()
  const [editing, setEditing] = useState<Budget | 'new' | null>(null)
  const [pricing, setPricing] = useState(false)
  const nameOf = (row: Budget) => (row.whose === 'tenant' ? t('whose.tenant') : row.name)
  const currencies = new Set(usePrices().rows?.map((each) => each.currency))
  const currency = currencies.size === 1 ? [...currencies][0] : undefined
  const amount = (row: Budget, value: number) => {
    if (row.unit === 'gpu_seconds') return measure(value)
    if (row.unit !== 'money') return count(value)
    return currency === undefined ? amountOfMoney(value) : money(value, currency)
  }
  const part = (row: Budget) => (row.used === null ? null : row.used / row.most)
  const columns: Column<Budget>[] = [
    {
      id: 'whose',
      header: t('of'),
      value: nameOf,
      cell: (row) => <span title={t(`whose.${row.whose}`)}>{nameOf(row)}</span>,
      primary: true,
    },
    { id: 'kind', header: t('kind'), value: (row) => t(`whose.${row.whose}`), width: 150 },
    {
      id: 'most',
      header: t('budget'),
      value: (row) => row.most,
      cell: (row) =>
        t('amount', {
          amount: amount(row, row.most),
          unit: row.unit === 'money' && currency !== undefined ? '' : t(`unit.${row.unit}`),
          period: t(`per.${row.period}`),
        }),
      width: 200,
    },
    {
      id: 'used',
      header: t('used'),
      value: part,
      cell: (row) => {
        const used = part(row)
        if (used === null || row.used === null) return '–'
        const tone = used >= 1 ? 'bad' : used * 100 >= row.warn_percent ? 'warn' : 'ok'
        return (
          <>
            <Tag tone={tone}>{share(used)}</Tag> {amount(row, row.used)}
          </>
        )
      },
      width: 160,
    },
    {
      id: 'reserved',
      header: t('reserved'),
      value: (row) => row.reserved,
      cell: (row) => (row.reserved === null ? '–' : amount(row, row.reserved)),
      align: 'right',
      width: 100,
    },
    {
      id: 'hard',
      header: t('effect'),
      value: (row) => t(row.hard ? 'hard' : 'soft'),
      width: 110,
    },
    {
      id: 'resets',
      header: t('resets'),
      value: (row) => row.resets_in,
      cell: (row) => (row.resets_in === null ? '–' : span(row.resets_in)),
      width: 120,
    },
  ]
  const end = async (row: Budget) => {
    await act(
      {
        title: t('deleteTitle', { name: nameOf(row) }),
        consequence: t('deleteText'),
        action: t('delete'),
        danger: true,
      },
      () => remove.mutateAsync(row.id),
      t('deleted'),
    )
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
            {t('new')}
          </Button>
        )
      }
    >
      <DataTable
        id="budgets"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        {...(mayManage
          ? {
              rowActionsWidth: 130,
              rowActions: (row: Budget) => (
                <>
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    aria-label={t('editOf', { name: nameOf(row) })}
                    onClick={() => setEditing(row)}
                  >
                    {t('edit')}
                  </Button>
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    color="red"
                    aria-label={t('deleteOf', { name: nameOf(row) })}
                    onClick={() => void end(row)}
                  >
                    {t('delete')}
                  </Button>
                </>
              ),
            }
          : {})}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
      <Group justify="space-between">
        <Title order={2} size="h4">
          {t('prices')}
        </Title>
        {mayManage && (
          <Button variant="default" onClick={() => setPricing(true)}>
            {t('newPrice')}
          </Button>
        )}
      </Group>
      <Prices />
      {editing !== null && (
        <BudgetForm budget={editing === 'new' ? null : editing} onClose={() => setEditing(null)} />
      )}
      {pricing && <PriceForm onClose={() => setPricing(false)} />}
    </Page>
  )
}

function Prices() {
  const { t } = useTranslation('budgets')
  const list = usePrices()
  const view = useTableState({ prefix: 'p' })
  const costs = (id: 'prompt_million' | 'completion_million' | 'second'): Column<Price> => ({
    id,
    header: t(id),
    value: (row) => row[id],
    cell: (row) => price(row[id], row.currency),
    align: 'right',
    width: 190,
  })
  const columns: Column<Price>[] = [
    {
      id: 'model',
      header: t('model'),
      value: (row) => (row.model === '' ? t('allOthers') : row.model),
      primary: true,
    },
    costs('prompt_million'),
    {
      id: 'cached_million',
      header: t('cached_million'),
      value: (row) => row.cached_million ?? row.prompt_million,
      cell: (row) => (row.cached_million === null ? t('asPrompt') : price(row.cached_million, row.currency)),
      align: 'right',
      width: 190,
    },
    costs('completion_million'),
    costs('second'),
    {
      id: 'from',
      header: t('from'),
      value: (row) => row.valid_from,
      cell: (row) => <time title={exactly(row.valid_from)}>{when(row.valid_from)}</time>,
      width: 150,
    },
  ]
  return (
    <DataTable
      id="prices"
      label={t('prices')}
      columns={columns}
      list={list}
      view={view}
      idOf={(row) => row.id}
      empty={<PageEmpty title={t('noPrices')}>{t('noPricesText')}</PageEmpty>}
    />
  )
}
