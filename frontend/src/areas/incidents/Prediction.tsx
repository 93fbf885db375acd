/** What is known of a predicted failure: until when, by which measured values, and what is done when it is predicted. */
import { Select } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { IncidentDetail } from '../../api/incidents'
import { useChangePredictions, usePredictions, type Act, type Detector } from '../../api/predictions'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { measure } from '../../ui/format'
import { done, failed } from '../../ui/toast'
import classes from './IncidentPage.module.css'

const PREDICTED = 'predicted_'
const ACTS: readonly Act[] = ['propose', 'cordon', 'drain']

export function isPrediction(incident: Pick<IncidentDetail, 'kind'>): boolean {
  return incident.kind.startsWith(PREDICTED)
}

export function Prediction({ incident }: { incident: IncidentDetail }) {
  const { t } = useTranslation('incidents')
  const predictions = usePredictions()
  const detector = predictions.data?.detectors.find((each) => PREDICTED + each.detector === incident.kind)
  const measured = Object.entries(incident.evidence[0]?.values ?? {}).filter(
    ([name]) => name !== 'fails_before',
  )
  return (
    <Card title={t('prediction')}>
      <dl className={classes.facts}>
        {measured.map(([name, value]) => (
          <div key={name} className={classes.fact}>
            <dt>{t(`measured.${name}`, { defaultValue: name })}</dt>
            <dd>{typeof value === 'number' ? measure(value) : String(value)}</dd>
          </div>
        ))}
        {detector !== undefined && (
          <div className={classes.fact}>
            <dt>{t('whenPredicted')}</dt>
            <dd>
              <ActChoice detector={detector} />
            </dd>
          </div>
        )}
      </dl>
    </Card>
  )
}

export function ActChoice({ detector }: { detector: Detector }) {
  const { t } = useTranslation('incidents')
  const mayManage = useMay('node.manage')
  const change = useChangePredictions()
  if (!mayManage) return t(`act.${detector.act}`)
  return (
    <Select
      aria-label={`${t(`kinds.${PREDICTED}${detector.detector}`)}: ${t('whenPredicted')}`}
      data={ACTS.map((act) => ({ value: act, label: t(`act.${act}`) }))}
      value={detector.act}
      allowDeselect={false}
      disabled={change.isPending}
      onChange={(act) => {
        if (act === 'propose' || act === 'cordon' || act === 'drain')
          change.mutate(
            { [detector.detector]: act },
            { onSuccess: () => done(t('actChanged')), onError: failed },
          )
      }}
    />
  )
}
