/** Every mirror of the tenant: what it is of, and how much of it is here. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMirrors, type Mirror } from '../../api/mirrors'
import { useMay } from '../../api/session'
import { bytesOf, count, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { MirrorForm } from './MirrorForm'

export function MirrorsPage() {
  const { t } = useTranslation('mirrors')
  const list = useMirrors()
  const mayManage = useMay('model.manage')
  const [creating, setCreating] = useState(false)
  const columns = useMemo(
    (): Column<Mirror>[] => [
      { id: 'prefix', header: t('prefix'), value: (row) => row.prefix, primary: true },
      { id: 'upstream', header: t('upstream'), value: (row) => row.upstream, width: 260 },
      { id: 'kept', header: t('keptBytes'), value: (row) => row.kept_bytes, cell: (row) => bytesOf(row.kept_bytes, row.most_bytes), align: 'right', width: 190 },
      { id: 'images', header: t('images'), value: (row) => row.image_count, cell: (row) => count(row.image_count), align: 'right', width: 110 },
      {
        id: 'used',
        header: t('lastUse'),
        value: (row) => row.used_at,
        cell: (row) => row.used_at === null ? '–' : <time title={exactly(row.used_at)}>{when(row.used_at)}</time>,
        width: 150,
      },
    ],
    [t],
  ) // prettier-ignore
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setCreating(true)}>
            {t('create')}
          </Button>
        )
      }
    >
      <DataTable
        id="mirrors"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/mirrors/$mirrorId', params: { mirrorId: row.id } })}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
      {creating && <MirrorForm onClose={() => setCreating(false)} />}
    </Page>
  )
}
