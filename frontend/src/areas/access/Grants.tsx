/** Grants on single objects, which can be ended; of one member or team also given. */
import { Button, Group, Title } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useAccessActs, useGrants, type GrantRow, type ObjectKind } from '../../api/access'
import { api, bodyOf } from '../../api/client'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { exactly, when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { GiveGrant } from './GiveGrant'
import { useWords } from './words'

export interface GrantsOf {
  member?: string
  team?: string
}

export function Grants({ of }: { of: GrantsOf }) {
  const { t } = useTranslation('access')
  const words = useWords()
  const mayManage = useMay('member.manage')
  const { endGrant } = useAccessActs()
  const grants = useGrants(of)
  const names = useObjectNames(grants.data)
  const view = useTableState({ prefix: 'g' })
  const [giving, setGiving] = useState(false)
  const onWhat = (row: GrantRow) =>
    words.target({
      kind: row.kind as ObjectKind,
      id: row.object,
      name: names.data?.[row.object] ?? row.object,
    })
  const one = of.member !== undefined || of.team !== undefined
  const columns: Column<GrantRow>[] = [
    { id: 'permission', header: t('may'), value: (row) => words.permission(row.permission), primary: true },
    { id: 'on', header: t('onWhat'), value: onWhat, width: 260 },
    ...(one
      ? []
      : [
          {
            id: 'to',
            header: t('holder'),
            value: (row: GrantRow) => (row.team ? t('teamNamed', { name: row.to }) : row.to),
            width: 260,
          },
        ]),
    {
      id: 'created',
      header: t('since'),
      value: (row) => row.created,
      cell: (row) => <time title={exactly(row.created)}>{when(row.created)}</time>,
      width: 150,
    },
  ]
  const end = async (row: GrantRow) => {
    await act(
      {
        title: t('endTitle'),
        consequence: t('endText', { permission: words.permission(row.permission), on: onWhat(row) }),
        action: t('end'),
        danger: true,
      },
      () => endGrant.mutateAsync(row),
      t('ended'),
    )
  }
  return (
    <>
      <Group justify="space-between">
        <Title order={2} size="h4">
          {t('grants')}
        </Title>
        {one && mayManage && (
          <Button variant="default" onClick={() => setGiving(true)}>
            {t('give')}
          </Button>
        )}
      </Group>
      <DataTable
        id="grants"
        label={t('grants')}
        columns={columns}
        list={{ rows: grants.data, error: grants.error, refetch: grants.refetch }}
        view={view}
        idOf={(row) => row.id}
        {...(mayManage
          ? {
              rowActions: (row: GrantRow) => (
                <Button
                  size="compact-xs"
                  variant="subtle"
                  color="red"
                  aria-label={t('endOf', { permission: words.permission(row.permission), on: onWhat(row) })}
                  onClick={() => void end(row)}
                >
                  {t('end')}
                </Button>
              ),
            }
          : {})}
        empty={<PageEmpty title={t('noGrants')}>{t('noGrantsText')}</PageEmpty>}
      />
      {giving && <GiveGrant to={of} onClose={() => setGiving(false)} />}
    </>
  )
}

/** The names of what grants are on, by id. */
function useObjectNames(rows: readonly GrantRow[] | undefined) {
  const kinds = [...new Set(rows?.map((row) => row.kind as ObjectKind))].sort()
  return useQuery({
    queryKey: ['access', 'names', kinds],
    enabled: kinds.length > 0,
    queryFn: async () => {
      const found = await Promise.all(
        kinds.map(async (kind) =>
          bodyOf(await api.GET('/api/v1/access/objects', { params: { query: { kind, limit: 200 } } })),
        ),
      )
      return Object.fromEntries(found.flatMap((each) => each.results.map((row) => [row.id, row.name])))
    },
  })
}
