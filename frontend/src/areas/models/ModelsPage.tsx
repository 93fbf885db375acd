/** All models of the tenant, each with where it lies. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  readiness,
  useModels,
  useTrafficOfModels,
  type Model,
  type ModelsAsked,
  type Traffic,
} from '../../api/models'
import { orderingOf } from '../../api/pages'
import { useMay } from '../../api/session'
import { Command } from '../../ui/Command'
import { bytes, count, exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag } from '../../ui/Tag'
import { NewModel } from './NewModel'
import { uptime } from './uptime'

/** Of so many models the list says how they did; the page of each says more. */
const MOST_TRAFFIC = 100

interface Row extends Model {
  traffic: Traffic | undefined
}

export function ModelsPage() {
  const { t } = useTranslation('models')
  const mayManage = useMay('model.manage')
  const [making, setMaking] = useState(false)
  const columns = useMemo(
    (): Column<Row>[] => [
      { id: 'name', header: t('name'), value: (model) => model.name, primary: true, orderBy: 'name' },
      { id: 'ready', header: t('ready'), value: readyText, cell: (model) => <Ready model={model} />, width: 150 },
      { id: 'uptime', header: t('uptimeDay'), value: (model) => model.traffic?.uptime, cell: (model) => uptime(model.traffic?.uptime ?? null), align: 'right', width: 120 },
      { id: 'requests', header: t('requestsDay'), value: (model) => model.traffic?.requests, cell: (model) => (model.traffic === undefined ? '–' : count(model.traffic.requests)), align: 'right', width: 120 },
      { id: 'size', header: t('size'), value: (model) => model.size, cell: (model) => bytes(model.size), align: 'right', width: 110 },
      { id: 'origin', header: t('origin'), value: (model) => t(model.origin === 'hosted' ? 'hosted' : 'external'), width: 130 },
      { id: 'shared', header: t('shared'), value: (model) => model.shared, cell: (model) => (model.shared ? t('everybody') : t('own')), width: 150 },
      { id: 'strategy', header: t('strategy'), value: (model) => t(`strategies.${model.profile.strategy ?? 'balanced'}`), width: 130, hidden: true },
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
  const found = useModels({
    ...(text === '' ? {} : { name: text }),
    ordering: (orderingOf(sort, columns) ?? 'name') as NonNullable<ModelsAsked['ordering']>,
  })
  const names = useMemo(
    () => (found.rows ?? []).slice(0, MOST_TRAFFIC).map((model) => model.name),
    [found.rows],
  )
  const traffic = useTrafficOfModels(names)
  const rows = useMemo(
    () => found.rows?.map((model): Row => ({ ...model, traffic: traffic.get(model.name) })),
    [found.rows, traffic],
  )
  const list = { ...found, rows }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button
            leftSection={<IconPlus size={16} />}
            onClick={() => {
              setMaking(true)
            }}
          >
            {t('newModel')}
          </Button>
        )
      }
    >
      {making && (
        <NewModel
          opened
          onClose={() => {
            setMaking(false)
          }}
        />
      )}
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
