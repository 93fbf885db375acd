/** The table of files: what was uploaded for batches, and what batches left. */
import { Button } from '@mantine/core'
import { IconDownload, IconTrash } from '@tabler/icons-react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { keepFile, useDeleteFile, useFiles, type BatchFile, type FilesAsked } from '../../api/batches'
import { orderingOf } from '../../api/pages'
import { act } from '../../ui/act'
import { failed } from '../../ui/toast'
import { bytes, exactly, when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import { Choice } from '../../ui/table/Choice'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag } from '../../ui/Tag'

const PURPOSES = ['batch', 'batch_output'] as const

export function Files() {
  const { t } = useTranslation('batches')
  const remove = useDeleteFile()
  const columns = useMemo(
    (): Column<BatchFile>[] => [
      { id: 'name', header: t('file'), value: (file) => file.name, primary: true, orderBy: 'name' },
      {
        id: 'purpose',
        header: t('purpose'),
        value: (file) => file.purpose,
        cell: (file) => (
          <>
            {t(`for.${file.purpose}`)} {file.needed && <Tag tone="accent">{t('needed')}</Tag>}
          </>
        ),
        width: 180,
      },
      {
        id: 'size',
        header: t('size'),
        value: (file) => file.size,
        cell: (file) => bytes(file.size),
        align: 'right',
        width: 110,
        orderBy: 'size',
      },
      {
        id: 'created',
        header: t('created'),
        value: (file) => file.created_at,
        cell: (file) => <time title={exactly(file.created_at)}>{when(file.created_at)}</time>,
        width: 150,
        orderBy: 'created_at',
      },
    ],
    [t],
  )
  const view = useTableState({ sort: { id: 'created', desc: true }, prefix: 'files.' })
  const { text, sort, filters } = view.state
  const purpose = PURPOSES.find((each) => each === filters.purpose?.[0])
  const list = useFiles({
    ordering: (orderingOf(sort, columns) ?? '-created_at') as FilesAsked['ordering'],
    ...(text === '' ? {} : { name: text }),
    ...(purpose === undefined ? {} : { purpose }),
  })
  const removeAll = async (files: readonly BatchFile[]) => {
    await act(
      {
        title: t('deleteTitle', { count: files.length, name: files[0]?.name ?? '' }),
        consequence: t('deleteText'),
        action: t('delete'),
        danger: true,
      },
      async () => {
        for (const file of files) await remove.mutateAsync(file.id)
      },
      t('deleteDone', { count: files.length }),
    )
  }
  return (
    <DataTable
      id="files"
      label={t('files')}
      columns={columns}
      list={list}
      view={view}
      idOf={(file) => file.id}
      tools={
        <Choice
          view={view}
          name="purpose"
          label={t('purpose')}
          data={PURPOSES.map((each) => [each, t(`for.${each}`)])}
        />
      }
      acts={[
        {
          label: t('delete'),
          icon: IconTrash,
          color: 'red',
          may: (files) => files.every((file) => !file.needed),
          run: (files) => void removeAll(files),
        },
      ]}
      rowActions={(file) => (
        <Button
          size="compact-xs"
          variant="subtle"
          leftSection={<IconDownload size={13} />}
          aria-label={t('downloadOf', { name: file.name })}
          onClick={() => {
            keepFile(file.id, file.name).catch(failed)
          }}
        >
          {t('download')}
        </Button>
      )}
      empty={<PageEmpty title={t('noFile')}>{t('noFileText')}</PageEmpty>}
    />
  )
}
