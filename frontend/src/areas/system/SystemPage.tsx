/** How the installation itself fares: processes, databases, and in each region its Redis, control loops and queues. */
import { Alert } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { loopState, useSystem, type System } from '../../api/installation'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { bytes, count, span } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { Tile } from '../../ui/Tile'
import { RegionPart } from './RegionPart'
import classes from './SystemPage.module.css'

export function SystemPage() {
  const { t } = useTranslation('system')
  return (
    <Page title={t('title')} lead={t('lead')}>
      <Loaded query={useSystem()}>
        {(system) => (
          <>
            <Totals system={system} />
            <Postgres system={system} />
            {system.regions.map((region) => (
              <RegionPart key={region.name} region={region} alone={system.regions.length === 1} />
            ))}
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Totals({ system }: { system: System }) {
  const { t } = useTranslation('system')
  const sum = (value: (region: System['regions'][number]) => number | undefined) =>
    system.regions.reduce((all, region) => all + (value(region) ?? 0), 0)
  const loops = system.regions.flatMap((region) => region.loops ?? [])
  const bad = loops.filter((loop) => loopState(loop) !== 'ok').length
  const leaders = new Set(loops.map((loop) => loop.leader)).size
  const gone = sum((region) => region.gateways_missed)
  const refused = sum((region) => region.usage_refused)
  return (
    <section className={classes.tiles} aria-label={t('now')}>
      <Tile name={t('version')} value={system.version} of={t('python', { version: system.python })} />
      <Tile
        name={t('gateways')}
        value={count(sum((region) => region.gateways))}
        of={gone > 0 ? t('gone', { count: gone }) : undefined}
        warn={gone > 0}
      />
      <Tile name={t('controllers')} value={count(leaders)} of={t('leading')} />
      <Tile
        name={t('loops')}
        value={count(loops.length)}
        of={bad > 0 ? t('badLoops', { count: bad }) : t('allWell')}
        warn={bad > 0}
      />
      <Tile
        name={t('nodes')}
        value={count(sum((region) => region.queues?.nodes_reporting))}
        of={t('ofNodes', { count: sum((region) => region.queues?.nodes) })}
      />
      <Tile
        name={t('usageWaiting')}
        value={count(sum((region) => region.usage_waiting))}
        of={refused > 0 ? t('usageRefused', { count: refused }) : undefined}
        warn={refused > 0}
      />
    </section>
  )
}

function Postgres({ system: { postgres } }: { system: System }) {
  const { t } = useTranslation('system')
  const isFull =
    postgres.connections !== undefined &&
    postgres.most_connections !== undefined &&
    postgres.connections > 0.9 * postgres.most_connections
  return (
    <Card
      title={t('postgres')}
      aside={
        <Tag tone={postgres.error !== '' ? 'bad' : isFull ? 'warn' : 'ok'}>
          {t(postgres.error === '' ? 'answers' : 'unreadable')}
        </Tag>
      }
    >
      {postgres.error === '' ? (
        <Facts>
          <Fact name={t('version')}>{postgres.version}</Fact>
          <Fact name={t('size')}>{postgres.size_bytes === undefined ? '–' : bytes(postgres.size_bytes)}</Fact>
          <Fact name={t('connections')}>
            {t('of', {
              used: count(postgres.connections ?? 0),
              all: count(postgres.most_connections ?? 0),
            })}
          </Fact>
          <Fact name={t('up')}>
            {postgres.uptime_seconds === undefined ? '–' : span(postgres.uptime_seconds)}
          </Fact>
        </Facts>
      ) : (
        <Alert color="red">{t('cannot', { error: postgres.error })}</Alert>
      )}
    </Card>
  )
}
