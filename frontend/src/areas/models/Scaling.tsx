/** How many replicas of the model are to be in memory: the objective, what was decided last, and why. */
import { Button, Group } from '@mantine/core'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Model } from '../../api/models'
import { setTerms, useReplication, type ScalingDecision, type Terms } from '../../api/replication'
import { useMay } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { count, duration, measure, share, span, when } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import { EditScaling } from './EditScaling'
import classes from './ModelPage.module.css'
import { schedulesText } from './schedules'
import { useActs } from './useActs'

export function Scaling({ model }: { model: Model }) {
  const { t, act } = useActs(model)
  const replication = useReplication(model.id)
  const mayManage = useMay('model.manage')
  const [editing, setEditing] = useState(false)
  const drop = (terms: Terms) =>
    act(
      {
        title: t('scaling.dropTitle', { name: model.name }),
        consequence: t('scaling.dropText'),
        action: t('scaling.drop'),
      },
      () => setTerms(model.id, { ...terms, scaling: null }),
    )
  return (
    <Card title={t('scaling.title')}>
      <Loaded query={replication}>
        {({ terms, scaling }) => (
          <div className={classes.rollouts}>
            {terms.scaling == null || scaling === null ? (
              <Empty title={t('scaling.none')} />
            ) : (
              <>
                <Decided decision={scaling} />
                <Objective scaling={terms.scaling} />
              </>
            )}
            {mayManage && (
              <Group gap={8}>
                <Button
                  size="compact-sm"
                  variant="default"
                  onClick={() => {
                    setEditing(true)
                  }}
                >
                  {t(terms.scaling == null ? 'scaling.set' : 'edit')}
                </Button>
                {terms.scaling != null && (
                  <Button size="compact-sm" variant="default" onClick={() => void drop(terms)}>
                    {t('scaling.drop')}
                  </Button>
                )}
              </Group>
            )}
            {editing && (
              <EditScaling
                model={model}
                terms={terms}
                onClose={() => {
                  setEditing(false)
                }}
              />
            )}
          </div>
        )}
      </Loaded>
    </Card>
  )
}

function Decided({ decision }: { decision: ScalingDecision }) {
  const { t } = useTranslation('models')
  const none = t('scaling.noData')
  const of = (value: number | null, shown: (value: number) => string) =>
    value === null ? none : shown(value)
  return (
    <>
      <dl className={classes.facts}>
        <Fact name={t('scaling.wanted')}>{of(decision.wanted, count)}</Fact>
        <Fact name={t('scaling.replicas')}>{count(decision.replicas)}</Fact>
        <Fact name={t('scaling.load')}>{of(decision.load, measure)}</Fact>
        <Fact name={t('scaling.service')}>
          {of(decision.service_seconds, (value) => duration(value * 1000))}
        </Fact>
        <Fact name={t('scaling.speed')}>{of(decision.tokens_per_second, measure)}</Fact>
        <Fact name={t('scaling.kept')}>{of(decision.kept_percent, (value) => share(value / 100))}</Fact>
        <Fact name={t('scaling.decided')}>
          {decision.decided_at === null ? none : when(decision.decided_at)}
        </Fact>
      </dl>
      <p className={classes.reason}>{decision.reason}</p>
    </>
  )
}

function Objective({ scaling }: { scaling: NonNullable<Terms['scaling']> }) {
  const { t } = useTranslation('models')
  const time = (ms: number | null | undefined) => (ms == null ? '–' : duration(ms))
  return (
    <dl className={classes.facts}>
      <Fact name={t('scaling.wait')}>{time(scaling.queue_wait_ms)}</Fact>
      <Fact name={t('scaling.firstToken')}>{time(scaling.first_token_ms)}</Fact>
      <Fact name={t('scaling.share')}>{share(scaling.share / 100)}</Fact>
      <Fact name={t('scaling.coolDown')}>{span(scaling.cool_down_seconds)}</Fact>
      <Fact name={t('scaling.zeroAfter')}>
        {scaling.zero_after_seconds === null ? t('scaling.never') : span(scaling.zero_after_seconds)}
      </Fact>
      <Fact name={t('scaling.schedules')}>
        <span className={classes.lines}>{schedulesText(scaling.schedules ?? []) || '–'}</span>
      </Fact>
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
