/** The past of a node, its host and its cards. */
import { useTranslation } from 'react-i18next'
import { telemetryOf, type Node } from '../../api/nodes'
import { HistoryChart } from '../../ui/HistoryChart'
import { lineOf, Past } from '../../ui/Past'

const perCent = (value: number): string => `${value.toFixed(0)} %`
const degrees = (value: number): string => `${value.toFixed(0)} °C`

export function NodePast({ node }: { node: Node }) {
  const { t } = useTranslation('nodes')
  const cards = telemetryOf(node)?.gpus ?? []
  // One answer has at most twenty series.
  const names = [
    `node:${node.id}`,
    ...cards.slice(0, 16).map((card) => `gpu:${node.id}/${String(card.index)}`),
  ]
  return (
    <Past
      names={names}
      waits="waiting"
      more={([own, ...ofCards], step) => {
        if (own === undefined) return null
        const lines = (key: string) =>
          ofCards.map((card, place) => lineOf(card, `GPU ${String(cards[place]?.index ?? place)}`, key))
        const charts = [
          {
            title: t('host'),
            lines: [lineOf(own, t('cpu'), 'cpu_percent'), lineOf(own, t('memory'), 'memory_percent')],
            format: perCent,
            least: 100,
          },
          ...(ofCards.length === 0
            ? []
            : [
                { title: t('gpuLoad'), lines: lines('load_percent'), format: perCent, least: 100 },
                { title: t('heat'), lines: lines('temperature_celsius'), format: degrees },
              ]),
        ]
        return charts.map((chart) => <HistoryChart key={chart.title} at={own.at} step={step} {...chart} />)
      }}
    />
  )
}
