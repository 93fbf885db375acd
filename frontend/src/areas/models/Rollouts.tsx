/** Rollouts of the model's channels: the one under way with its steps and gates, and those before it. */
import { Button, Group, Progress, Table } from '@mantine/core'
import type { TFunction } from 'i18next'
import { useTranslation } from 'react-i18next'
import type { Model } from '../../api/models'
import {
  actOnRollout,
  isOpen,
  useRollouts,
  type Rollout,
  type RolloutAct,
  type RolloutEvaluation,
  type RolloutGate,
  type RolloutShadow,
} from '../../api/rollouts'
import { useMay } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { count, duration, exactly, measure, share, when } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import { ScrollBox } from '../../ui/ScrollBox'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './ModelPage.module.css'
import { useActs } from './useActs'

type State = NonNullable<Rollout['state']>

const TONE: Record<State, Tone> = {
  preloading: 'accent',
  running: 'accent',
  paused: 'plain',
  done: 'ok',
  rolled_back: 'bad',
  superseded: 'plain',
}
const short = (digest: string) => digest.slice(7, 19)

export function Rollouts({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const rollouts = useRollouts(model.id)
  return (
    <Card title={t('rollouts')}>
      <Loaded query={rollouts} isEmpty={(list) => list.length === 0} empty={<Empty title={t('noRollout')} />}>
        {(list) => (
          <div className={classes.rollouts}>
            {list.map((each) => (isOpen(each) ? <Open key={each.id} model={model} rollout={each} /> : null))}
            {!list.every(isOpen) && (
              <ol className={classes.names}>
                {list
                  .filter((each) => !isOpen(each))
                  .map((each) => (
                    <li key={each.id} className={classes.named}>
                      <Head rollout={each} />
                      <span className={classes.muted}>
                        {each.ended_at != null && (
                          <time title={exactly(each.ended_at)}>{when(each.ended_at)}</time>
                        )}{' '}
                        · {each.by_name} · {each.why}
                      </span>
                      {each.kind === 'shadow' && each.shadow !== null && (
                        <div className={classes.rollout}>
                          <Shadow of={each.shadow} />
                        </div>
                      )}
                    </li>
                  ))}
              </ol>
            )}
          </div>
        )}
      </Loaded>
    </Card>
  )
}

function Head({ rollout }: { rollout: Rollout }) {
  const { t } = useTranslation('models')
  const state = rollout.state ?? 'preloading'
  return (
    <>
      <Tag tone={TONE[state]}>{t(`rolloutState.${state}`)}</Tag>
      <span>
        {rollout.channel} · {t(`rolloutKind.${rollout.kind ?? 'staged'}`)}
      </span>
      <code className={classes.code}>
        {short(rollout.from_version)} → {short(rollout.to_version)}
      </code>
    </>
  )
}

function Open({ model, rollout }: { model: Model; rollout: Rollout }) {
  const { t, act } = useActs(model)
  const mayManage = useMay('model.manage')
  const ask = (what: RolloutAct) =>
    act(
      {
        title: t(`rolloutTitle.${what}`),
        consequence: t(`rolloutText.${what}`),
        action: t(`rolloutAct.${what}`),
      },
      () => actOnRollout(rollout.id, what),
    )
  const step = rollout.step == null ? undefined : rollout.steps[rollout.step]
  const part = step?.share ?? 0
  const before = rollout.gates.some((gate) => gate.before)
  const looked = rollout.gates.filter((gate) => gate.allowed !== null)
  const acts: RolloutAct[] = [
    ...(rollout.state === 'running' ? (['pause'] as const) : []),
    ...(rollout.state === 'paused' ? (['resume'] as const) : []),
    'advance',
    'roll-back',
  ]
  return (
    <section aria-label={t('rolloutUnderWay')} className={classes.rollout}>
      <div className={classes.named}>
        <Head rollout={rollout} />
        <span className={classes.muted}>{rollout.why}</span>
      </div>
      <div>
        <p>{told(rollout, t)}</p>
        <Progress
          value={part * 100}
          aria-label={t(step?.shadow ? 'rolloutShadowShare' : 'rolloutShare')}
          mt={6}
        />
      </div>
      {rollout.kind === 'blue_green' && rollout.replicas !== null && (
        <p className={classes.muted}>
          {t('rolloutReplicas', {
            old: count(rollout.replicas.old),
            new: count(rollout.replicas.new),
            oldLoaded: count(rollout.replicas.old_loaded),
            newLoaded: count(rollout.replicas.new_loaded),
          })}
          {before && rollout.replicas.old_loaded === 0 && <> · {t('rolloutOldGone')}</>}
        </p>
      )}
      {rollout.shadow !== null && <Shadow of={rollout.shadow} />}
      <ScrollBox label={t('gate')} minWidth={420}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('gate')}</Table.Th>
              <Table.Th ta="right">{t(before ? 'gateBefore' : 'gateOld')}</Table.Th>
              <Table.Th ta="right">{t('gateNew')}</Table.Th>
              <Table.Th ta="right">{t('gateEvidence')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rollout.gates.map((gate) => (
              <Table.Tr key={gate.gate}>
                <Table.Th scope="row">{t(`gates.${gate.gate}`)}</Table.Th>
                <Table.Td ta="right">{measured(gate, gate.old_mean, gate.old_answers, t('noData'))}</Table.Td>
                <Table.Td ta="right">{measured(gate, gate.new_mean, gate.new_answers, t('noData'))}</Table.Td>
                <Table.Td ta="right">
                  {gate.allowed === null
                    ? t('gateOff')
                    : t('gateOf', { value: measure(gate.evidence), most: count(gate.closes_at) })}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
      <p className={classes.muted}>
        {t(before ? 'gateBeforeText' : 'gateText')}
        {before && looked.every((gate) => gate.blocks_left === 0) && <> {t('gateUsedUp')}</>}
      </p>
      {rollout.evaluation !== null && <EvaluationGate gate={rollout.evaluation} />}
      {mayManage && (
        <Group gap={8}>
          {acts.map((what) => (
            <Button key={what} size="compact-sm" variant="default" onClick={() => void ask(what)}>
              {t(`rolloutAct.${what}`)}
            </Button>
          ))}
        </Group>
      )}
    </section>
  )
}

function told(rollout: Rollout, t: TFunction<'models'>): string {
  if (rollout.step == null) return t('rolloutNoStep')
  const step = rollout.steps[rollout.step]
  const values = {
    step: rollout.step + 1,
    steps: rollout.steps.length,
    share: share(step?.share ?? 0),
    answers: count(rollout.step_answers),
    time: duration(rollout.step_seconds * 1000),
  }
  if (step?.shadow) return t('rolloutShadowStep', values)
  if (rollout.kind !== 'blue_green') return t('rolloutStep', values)
  return t('rolloutSwitched', {
    ...values,
    requests: count(step?.requests ?? 0),
    hold: duration((step?.seconds ?? 0) * 1000),
  })
}

const COMPARED = ['answers', 'failures', 'first_token_ms', 'tokens_per_second', 'tokens'] as const

/** What the same requests came to with both versions. */
function Shadow({ of }: { of: RolloutShadow }) {
  const { t } = useTranslation('models')
  const value = (side: RolloutShadow['old'], row: (typeof COMPARED)[number]) => {
    const found = side[row]
    if (found === null) return t('noData')
    if (row === 'failures') return share(found)
    if (row === 'first_token_ms') return duration(found)
    return row === 'answers' ? count(found) : measure(found)
  }
  return (
    <div>
      <ScrollBox label={t('shadow.title')} minWidth={420}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('shadow.title')}</Table.Th>
              <Table.Th ta="right">{t('gateOld')}</Table.Th>
              <Table.Th ta="right">{t('gateNew')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {COMPARED.map((row) => (
              <Table.Tr key={row}>
                <Table.Th scope="row">{t(`shadow.${row}`)}</Table.Th>
                <Table.Td ta="right">{value(of.old, row)}</Table.Td>
                <Table.Td ta="right">{value(of.new, row)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
      <p className={classes.muted}>
        {of.compared === 0
          ? t('shadow.sameNone')
          : t('shadow.same', {
              same: count(of.same),
              compared: count(of.compared),
              share: share(of.same / of.compared),
            })}
        {of.same_answers !== null && <> · {t('shadow.asked', { share: share(of.same_answers) })}</>}.{' '}
        {t('shadow.text')}
      </p>
    </div>
  )
}

const EVALUATED: Record<RolloutEvaluation['state'], Tone> = { passed: 'ok', waiting: 'plain', closed: 'bad' }

/** What has to be reached in a suite before a step begins, and what both versions have reached. */
function EvaluationGate({ gate }: { gate: RolloutEvaluation }) {
  const { t } = useTranslation('models')
  const asked = [
    gate.least_score == null ? null : t('evaluationLeast', { score: share(gate.least_score) }),
    gate.margin == null ? null : t('evaluationMargin', { score: share(gate.margin) }),
    gate.from_share > 0 ? t('evaluationFrom', { share: share(gate.from_share) }) : t('evaluationFirst'),
  ].filter((each) => each !== null)
  return (
    <div>
      <div className={classes.named}>
        <Tag tone={EVALUATED[gate.state]}>{t(`evaluationState.${gate.state}`)}</Tag>
        <span>{t('evaluationGate', { suite: gate.suite_name })}</span>
        <span className={classes.muted}>{asked.join(', ')}</span>
      </div>
      <p className={classes.muted}>
        {t('gateOld')}: {reached(gate.old, t)} · {t('gateNew')}: {reached(gate.new, t)}
      </p>
    </div>
  )
}

function reached(score: RolloutEvaluation['new'], t: TFunction<'models'>): string {
  if (score === null) return t('noData')
  const told = t('evaluationReached', {
    score: share(score.score),
    passed: count(score.passed),
    total: count(score.total),
  })
  return score.current ? told : `${told} (${t('evaluationOld')})`
}

function measured(gate: RolloutGate, mean: number | null, answers: number, none: string): string {
  if (mean === null) return none
  return `${gate.gate === 'failures' ? share(mean) : duration(mean)} (${count(answers)})`
}
