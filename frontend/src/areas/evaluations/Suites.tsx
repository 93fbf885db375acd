/** The table of suites: made, changed, deleted, required of promotion. */
import { Button, Group } from '@mantine/core'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useEvaluationActs, useSuite, useSuites, type SuiteListed } from '../../api/evaluations'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { Card } from '../../ui/Card'
import { count, exactly, when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { EditSuite } from './EditSuite'
import { RequireSuite } from './RequireSuite'

export function Suites() {
  const { t } = useTranslation('evaluations')
  const mayManage = useMay('model.manage')
  const mayRequire = useMay('member.manage')
  const { forget } = useEvaluationActs()
  const [edited, setEdited] = useState<string | null>(null)
  const [required, setRequired] = useState<SuiteListed | null>(null)
  const list = useSuites()
  const columns = useMemo(
    (): Column<SuiteListed>[] => [
      { id: 'name', header: t('name'), value: (suite) => suite.name, primary: true },
      { id: 'description', header: t('description'), value: (suite) => suite.description },
      { id: 'cases', header: t('cases'), value: (suite) => suite.cases_count, cell: (suite) => count(suite.cases_count), align: 'right', width: 90 },
      { id: 'required', header: t('required'), value: (suite) => suite.required, cell: (suite) => (suite.required ? <Tag tone="accent">{t('isRequired')}</Tag> : '–'), width: 130 },
      { id: 'changed', header: t('changed'), value: (suite) => suite.changed_at, cell: (suite) => <time title={exactly(suite.changed_at ?? '')}>{when(suite.changed_at ?? '')}</time>, width: 140 },
    ],
    [t],
  ) // prettier-ignore
  const remove = async (suite: SuiteListed) => {
    await act(
      {
        title: t('deleteTitle', { name: suite.name }),
        consequence: t('deleteText'),
        action: t('delete'),
        danger: true,
      },
      () => forget.mutateAsync(suite.id),
      t('deleted', { name: suite.name }),
    )
  }
  return (
    <>
      <Card title={t('suites')} flush>
        <DataTable
          id="suites"
          label={t('suites')}
          columns={columns}
          list={list}
          idOf={(suite) => suite.id}
          rowActions={(suite) => (
            <Group gap={6} wrap="nowrap">
              {mayManage && (
                <Button
                  size="compact-xs"
                  variant="default"
                  onClick={() => {
                    setEdited(suite.id)
                  }}
                >
                  {t('edit')}
                </Button>
              )}
              {mayRequire && (
                <Button
                  size="compact-xs"
                  variant="default"
                  onClick={() => {
                    setRequired(suite)
                  }}
                >
                  {t('require')}
                </Button>
              )}
              {mayManage && !suite.required && (
                <Button size="compact-xs" variant="subtle" color="red" onClick={() => void remove(suite)}>
                  {t('delete')}
                </Button>
              )}
            </Group>
          )}
          rowActionsWidth={260}
          empty={<PageEmpty title={t('noSuite')}>{t('noSuiteText')}</PageEmpty>}
        />
      </Card>
      {edited !== null && (
        <Edited
          id={edited}
          onClose={() => {
            setEdited(null)
          }}
        />
      )}
      {required !== null && (
        <RequireSuite
          suite={required}
          onClose={() => {
            setRequired(null)
          }}
        />
      )}
    </>
  )
}

/** Once its cases were read. */
function Edited({ id, onClose }: { id: string; onClose: () => void }) {
  const { data } = useSuite(id)
  return data === undefined ? null : <EditSuite suite={data} onClose={onClose} />
}
