/** The versions of a model with their stages, and where the channel pointed: moved, moved back and promoted at the place. */
import { Button, Group } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { Model } from '../../api/models'
import { useMay } from '../../api/session'
import {
  approvePromotion,
  changeStage,
  moveChannel,
  rollBack,
  useMoves,
  useReleases,
  type Release,
  type Stage,
} from '../../api/versions'
import { Card, Empty } from '../../ui/Card'
import { bytes, exactly, when } from '../../ui/format'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './ModelPage.module.css'
import { StartRollout } from './StartRollout'
import { useActs } from './useActs'

const TONE: Record<Stage, Tone> = {
  draft: 'plain',
  staged: 'accent',
  production: 'ok',
  deprecated: 'bad',
  archived: 'plain',
}
const NEXT: Record<Stage, Exclude<Stage, 'archived'>> = {
  draft: 'staged',
  staged: 'production',
  production: 'deprecated',
  deprecated: 'production',
  archived: 'draft',
}
const OF_PROMOTERS: readonly Stage[] = ['production', 'deprecated']
const short = (digest: string) => (digest === '' ? '–' : digest.slice(7, 19))

export function Versions({ model }: { model: Model }) {
  const { t, act } = useActs(model)
  const mayManage = useMay('model.manage')
  const mayPromote = useMay('model.promote')
  const [rollingOut, setRollingOut] = useState<Release | null>(null)
  const columns = useMemo(
    (): Column<Release>[] => [
      {
        id: 'version',
        header: t('version'),
        value: (release) => release.version,
        cell: (release) => (
          <code className={classes.code} title={release.version}>
            {short(release.version)}
          </code>
        ),
        primary: true,
        width: 150,
      },
      {
        id: 'stage',
        header: t('stage'),
        value: (release) => t(`stages.${release.stage ?? 'draft'}`),
        cell: (release) => (
          <Tag tone={TONE[release.stage ?? 'draft']}>{t(`stages.${release.stage ?? 'draft'}`)}</Tag>
        ),
        width: 130,
      },
      { id: 'channels', header: t('channels'), value: (release) => release.channels.join(', ') },
      {
        id: 'size',
        header: t('size'),
        value: (release) => release.size,
        cell: (release) => bytes(release.size),
        align: 'right',
        width: 110,
      },
      { id: 'by', header: t('broughtBy'), value: (release) => release.by_name },
      {
        id: 'since',
        header: t('since'),
        value: (release) => release.created_at,
        cell: (release) => <Since at={release.created_at ?? ''} />,
        width: 125,
      },
    ],
    [t],
  )
  const rowActions = (release: Release) => {
    const stage = release.stage ?? 'draft'
    const next = NEXT[stage]
    const version = short(release.version)
    const promotion = release.promotion
    const mayStep = OF_PROMOTERS.includes(stage) || OF_PROMOTERS.includes(next) ? mayPromote : mayManage
    return (
      <Group gap={6} wrap="nowrap">
        {mayManage && release.version !== model.version && stage !== 'archived' && (
          <Button
            size="compact-xs"
            variant="default"
            onClick={() =>
              void act(
                {
                  title: t('pointTitle', { name: model.name, version }),
                  consequence: t('pointText'),
                  action: t('point'),
                },
                () => moveChannel(model.id, release.version),
              )
            }
          >
            {t('point')}
          </Button>
        )}
        {mayManage && release.version !== model.version && stage !== 'archived' && (
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => {
              setRollingOut(release)
            }}
          >
            {t('rollOut')}
          </Button>
        )}
        {promotion != null && mayPromote && (
          <Button
            size="compact-xs"
            onClick={() =>
              void act(
                {
                  title: t('approveTitle', { version }),
                  consequence: t('approveText', { name: promotion.by_name }),
                  action: t('approve'),
                },
                () => approvePromotion(promotion.id),
              )
            }
          >
            {t('approve')}
          </Button>
        )}
        {promotion == null && mayStep && (
          <Button
            size="compact-xs"
            variant="default"
            onClick={() =>
              void act(
                {
                  title: t('stepTitle', { version, stage: t(`stages.${next}`) }),
                  consequence: t(`stepText.${next}`),
                  action: t(`step.${next}`),
                },
                () => changeStage(release.id, next),
              )
            }
          >
            {t(`step.${next}`)}
          </Button>
        )}
      </Group>
    )
  }
  const releases = useReleases(model.id)
  return (
    <>
      {rollingOut !== null && (
        <StartRollout
          model={model}
          release={rollingOut}
          onClose={() => {
            setRollingOut(null)
          }}
        />
      )}
      <DataTable
        id="versions"
        label={t('versions')}
        columns={columns}
        rowActions={rowActions}
        rowActionsWidth={270}
        list={releases}
        idOf={(release) => release.id}
        empty={<PageEmpty title={t('noVersion')} />}
      />
    </>
  )
}

function Since({ at }: { at: string }) {
  return <time title={exactly(at)}>{when(at)}</time>
}

export function Moves({ model }: { model: Model }) {
  const { t, act } = useActs(model)
  const mayManage = useMay('model.manage')
  const moves = useMoves(model.id, model.name.slice(model.name.lastIndexOf(':') + 1))
  const back = moves.data?.find((move) => move.to_version === model.version && move.from_version !== '')
  return (
    <Card
      title={t('moves')}
      aside={
        mayManage &&
        back?.from_version !== undefined && (
          <Button
            size="compact-sm"
            variant="default"
            onClick={() =>
              void act(
                {
                  title: t('backTitle', { name: model.name, version: short(back.from_version ?? '') }),
                  consequence: t('pointText'),
                  action: t('back'),
                },
                () => rollBack(model.id),
              )
            }
          >
            {t('back')}
          </Button>
        )
      }
    >
      <Loaded query={moves} isEmpty={(list) => list.length === 0} empty={<Empty title={t('noMove')} />}>
        {(list) => (
          <ol className={classes.names}>
            {list.map((move) => (
              <li key={move.id} className={classes.named}>
                <code className={classes.code}>
                  {short(move.from_version ?? '')} → {short(move.to_version ?? '')}
                </code>
                <span className={classes.muted}>
                  <Since at={move.moved_at ?? ''} /> · {move.by_name}
                  {move.reason ? ` · ${move.reason}` : ''}
                </span>
              </li>
            ))}
          </ol>
        )}
      </Loaded>
    </Card>
  )
}
