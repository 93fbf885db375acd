/** The playbook of an incident: begun after a question, and the button that stops it. */
import { Button } from '@mantine/core'
import { IconFirstAidKit, IconHandStop } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { useRecover, useStopRecovery, type IncidentDetail } from '../../api/incidents'
import { act, attempt } from '../../ui/act'
import { isPrediction } from './Prediction'

export function Recovery({ incident }: { incident: IncidentDetail }) {
  const { t } = useTranslation('incidents')
  const recover = useRecover()
  const stop = useStopRecovery()
  if (incident.recovery?.state === 'running')
    return (
      <Button
        color="red"
        leftSection={<IconHandStop size={16} />}
        loading={stop.isPending}
        onClick={() => void attempt(() => stop.mutateAsync(incident.id), t('recoveryStoppedNow'))}
      >
        {t('stopRecovery')}
      </Button>
    )
  if (!incident.recoverable || incident.state === 'closed') return null
  const question = {
    title: t('recoverTitle', { name: incident.subject_name }),
    consequence: t('recoverText'),
    action: t(isPrediction(incident) ? 'recoverBefore' : 'recover'),
  }
  return (
    <Button
      variant={isPrediction(incident) ? 'filled' : 'default'}
      leftSection={<IconFirstAidKit size={16} />}
      loading={recover.isPending}
      onClick={() => void act(question, () => recover.mutateAsync(incident.id), t('recoverBegun'))}
    >
      {t(isPrediction(incident) ? 'recoverBefore' : 'recover')}
    </Button>
  )
}
