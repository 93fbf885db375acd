/** The detectors of failures to come, and what is done when one says that a node is likely to fail. */
import { useTranslation } from 'react-i18next'
import { usePredictions } from '../../api/predictions'
import { Card } from '../../ui/Card'
import { measure } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import classes from './IncidentPage.module.css'
import { ActChoice } from './Prediction'

export function PredictionsPage() {
  const { t } = useTranslation('incidents')
  const predictions = usePredictions()
  return (
    <Page title={t('predictions')} lead={t('predictionsLead')}>
      <Loaded query={predictions}>
        {(found) => (
          <Card title={t('whenPredicted')}>
            <ul className={classes.detectors}>
              {found.detectors.map((detector) => (
                <li key={detector.detector} className={classes.detector}>
                  <span>
                    <strong>{t(`kinds.predicted_${detector.detector}`)}</strong>
                    <span className={classes.more}>
                      {t('toldWithin', { minutes: measure(detector.within_minutes) })}
                    </span>
                  </span>
                  <ActChoice detector={detector} />
                </li>
              ))}
            </ul>
          </Card>
        )}
      </Loaded>
    </Page>
  )
}
