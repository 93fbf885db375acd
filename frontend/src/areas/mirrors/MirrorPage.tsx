/** One mirror: how to pull through it, and the tags that were pulled. */
import { Button, Stack } from '@mantine/core'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMirror, useMirrorActs, useMirroredTags, type Mirror, type MirroredTag } from '../../api/mirrors'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { bytesOf, dateTime, exactly, span, when } from '../../ui/format'
import { Fact, Facts } from '../../ui/Facts'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { MirrorForm } from './MirrorForm'

/** As Ollama names this installation: with TLS by its host alone. */
const HERE =
  window.location.protocol === 'https:' ? window.location.host : `--insecure ${window.location.origin}`
const route = getRouteApi('/inside/mirrors/$mirrorId')

export function MirrorPage() {
  const { mirrorId } = route.useParams()
  return <Loaded query={useMirror(mirrorId)}>{(mirror) => <Shown mirror={mirror} />}</Loaded>
}

function Shown({ mirror }: { mirror: Mirror }) {
  const { t } = useTranslation('mirrors')
  const navigate = useNavigate()
  const { remove } = useMirrorActs()
  const mayManage = useMay('model.manage')
  const [changing, setChanging] = useState(false)
  const end = async () => {
    const gone = await act(
      { title: t('removeTitle'), consequence: t('removeText'), action: t('remove'), danger: true },
      () => remove.mutateAsync(mirror.id),
      t('removed'),
    )
    if (gone) await navigate({ to: '/mirrors' })
  }
  return (
    <Page
      title={mirror.prefix}
      documentTitle={`${mirror.prefix} · ${t('title')}`}
      lead={t('of', { upstream: mirror.upstream })}
      actions={
        mayManage && (
          <>
            <Button variant="default" onClick={() => setChanging(true)}>
              {t('change')}
            </Button>
            <Button variant="subtle" color="red" onClick={() => void end()}>
              {t('remove')}
            </Button>
          </>
        )
      }
    >
      <Card title={t('about')}>
        <Stack gap="md">
          <Facts>
            <Fact name={t('keptBytes')}>{bytesOf(mirror.kept_bytes, mirror.most_bytes)}</Fact>
            <Fact name={t('believed')}>
              {mirror.check_seconds === 0 ? t('never') : span(mirror.check_seconds)}
            </Fact>
            <Fact name={t('createdAt')}>{dateTime(mirror.created_at)}</Fact>
          </Facts>
          <Command named label={t('howOllama')} text={`ollama pull ${HERE}/${mirror.prefix}/NAME:TAG`} />
        </Stack>
      </Card>
      <Tags mirror={mirror} />
      {changing && <MirrorForm mirror={mirror} onClose={() => setChanging(false)} />}
    </Page>
  )
}

function Tags({ mirror }: { mirror: Mirror }) {
  const { t } = useTranslation('mirrors')
  const list = useMirroredTags(mirror.id)
  const columns = useMemo(
    (): Column<MirroredTag>[] => [
      { id: 'tag', header: t('tag'), value: (row) => `${row.repository}:${row.name}`, primary: true },
      { id: 'digest', header: t('digest'), value: (row) => row.digest, cell: (row) => <code>{row.digest.slice(7, 19)}</code>, width: 140 },
      { id: 'kept', header: t('keptBytes'), value: (row) => row.kept_bytes, cell: (row) => bytesOf(row.kept_bytes, row.size), align: 'right', width: 180 },
      { id: 'checked', header: t('checked'), value: (row) => row.checked_at, cell: (row) => <time title={exactly(row.checked_at)}>{when(row.checked_at)}</time>, width: 150 },
      { id: 'used', header: t('lastUse'), value: (row) => row.used_at, cell: (row) => <time title={exactly(row.used_at)}>{when(row.used_at)}</time>, width: 150 },
    ],
    [t],
  ) // prettier-ignore
  return (
    <DataTable
      id="mirrored-tags"
      label={t('tags')}
      columns={columns}
      list={list}
      idOf={(row) => row.id}
      empty={<PageEmpty title={t('noTags')}>{t('noTagsText')}</PageEmpty>}
    />
  )
}
