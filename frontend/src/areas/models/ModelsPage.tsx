/** All models of the tenant, each with where it lies. */
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { readiness, useModels, type Model, type ModelsAsked } from '../../api/models'
import { orderingOf } from '../../api/pages'
import { Command } from '../../ui/Command'
import { bytes, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag } from '../../ui/Tag'

export function ModelsPage() {
  const { t } = useTranslation('models')
  const columns = useMemo(
    (): Column<Model>[] => [
      { id: 'name', header: t('name'), value: (model) => model.name, primary: true, orderBy: 'name' },
      { id: 'ready', header: t('ready'), value: readyText, cell: (model) => <Ready model={model} />, width: 150 },
      { id: 'size', header: t('size'), value: (model) => model.size, cell: (model) => bytes(model.size), align: 'right', width: 110 },
      { id: 'origin', header: t('origin'), value: (model) => t(model.origin === 'hosted' ? 'hosted' : 'external'), width: 130 },
      { id: 'shared', header: t('shared'), value: (model) => model.shared, cell: (model) => (model.shared ? t('everybody') : t('own')), width: 150 },
      { id: 'strategy', header: t('strategy'), value: (model) => model.profile.strategy ?? '', width: 130, hidden: true },
      {
        id: 'moved',
        header: t('changed'),
        value: (model) => model.moved_at,
        cell: (model) => <time title={exactly(model.moved_at)}>{when(model.moved_at)}</time>,
        width: 150,
        orderBy: 'moved_at',
      },
    ],
    [t],
  ) // prettier-ignore
  const view = useTableState({ sort: { id: 'name', desc: false }, hidden: ['strategy'] })
  const { text, sort } = view.state
  const list = useModels({
    ...(text === '' ? {} : { name: text }),
    ordering: (orderingOf(sort, columns) ?? 'name') as NonNullable<ModelsAsked['ordering']>,
  })
  return (
    <Page title={t('title')} lead={t('lead')}>
      <DataTable
        id="models"
        label={t('title')}
        columns={columns}
        list={list}
        view={view}
        idOf={(model) => model.id}
        linkOf={(model) => ({ to: '/models/$id', params: { id: model.id } })}
        toneOf={(model) => (readiness(model.replicas).failed > 0 ? 'bad' : undefined)}
        empty={
          <PageEmpty title={t('none')}>
            <p>{t('noneText')}</p>
            <Command
              label={t('pull')}
              text={`OLLAMA_HOST=${window.location.origin} ollama pull qwen3:0.6b`}
            />
          </PageEmpty>
        }
      />
    </Page>
  )
}

const readyText = (model: Model): string => {
  const { ready, wanted } = readiness(model.replicas)
  return `${ready}/${wanted}`
}

function Ready({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const { ready, wanted, failed } = readiness(model.replicas)
  if (failed > 0) return <Tag tone="bad">{t('failedOn', { count: failed })}</Tag>
  return <Tag tone={ready > 0 ? 'ok' : 'warn'}>{t('readyOn', { ready, wanted })}</Tag>
}
