/** Who can do something, on everything or on one object, and why; and all grants on single objects. */
import { Group, Select } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ON_OBJECTS, useWhoMay, type Holder, type ObjectKind } from '../../api/access'
import type { Permission } from '../../api/session'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Grants } from './Grants'
import { ObjectField } from './ObjectFields'
import { useWords } from './words'

const KINDS: readonly ObjectKind[] = ['model', 'node', 'pool']

export function AccessPage() {
  const { t } = useTranslation('access')
  const words = useWords()
  const [permission, setPermission] = useState<Permission>('inference.use')
  const [kind, setKind] = useState<ObjectKind | ''>('')
  const [object, setObject] = useState('')
  const on = kind === '' || object === '' ? null : { kind, object }
  const who = useWhoMay({ permission, on })
  const kinds = KINDS.filter((each) => ON_OBJECTS[each].some((one) => one === permission))
  const columns: Column<Holder>[] = [
    { id: 'name', header: t('holder'), value: (row) => row.name, primary: true, width: 260 },
    { id: 'kind', header: t('kindOf'), value: (row) => t(`holderKind.${row.kind}`), width: 150 },
    {
      id: 'why',
      header: t('why'),
      value: (row) => row.reasons.map((each) => words.reason(each)).join('; '),
      cell: (row) => {
        const text = row.reasons.map((each) => words.reason(each)).join('; ')
        return <span title={text}>{text}</span>
      },
    },
  ]
  const left = who.data?.left_out ?? 0
  return (
    <Page title={t('access')} lead={t('accessLead')}>
      <Group align="end" gap="md">
        <Select
          label={t('whoCan')}
          w={260}
          allowDeselect={false}
          searchable
          data={words.choices}
          value={permission}
          onChange={(value) => {
            const chosen = words.choices.find((each) => each.value === value)
            if (chosen === undefined) return
            setPermission(chosen.value)
            setKind('')
            setObject('')
          }}
        />
        {kinds.length > 0 && (
          <Select
            label={t('onWhat')}
            w={200}
            allowDeselect={false}
            data={[
              { value: '', label: t('everything') },
              ...kinds.map((value) => ({ value, label: t(`kind.${value}`) })),
            ]}
            value={kind}
            onChange={(value) => {
              setKind(KINDS.find((each) => each === value) ?? '')
              setObject('')
            }}
          />
        )}
        {kind !== '' && <ObjectField key={kind} kind={kind} value={object} onChange={setObject} />}
      </Group>
      <DataTable
        id="who-may"
        label={t('whoMay')}
        columns={columns}
        list={{ rows: who.data?.results, error: who.error, refetch: who.refetch }}
        idOf={(row) => row.id}
        linkOf={(row) =>
          row.kind === 'key' ? undefined : { to: '/access/members/$memberId', params: { memberId: row.id } }
        }
        empty={<PageEmpty title={t('nobody')} />}
      />
      {left > 0 && <p>{t('leftOut', { count: left })}</p>}
      <Grants of={{}} />
    </Page>
  )
}
