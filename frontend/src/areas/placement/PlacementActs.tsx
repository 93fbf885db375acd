/** What can be done with the plan: have it carried out, stop that, and have all later ones carried out by themselves. */
import { Button, Switch } from '@mantine/core'
import { IconHandStop, IconPlayerPlay } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { applyPlacement, setAutomatic, setKeepWarm, stopPlacement, type Placement } from '../../api/placement'
import { useMay } from '../../api/session'
import { act, attempt } from '../../ui/act'
import classes from './PlacementPage.module.css'

export function PlacementActs({ placement }: { placement: Placement }) {
  const { t } = useTranslation('placement')
  const queries = useQueryClient()
  const mayDecide = useMay('model.manage')
  const renewed = () => queries.invalidateQueries({ queryKey: ['placement'] })
  const apply = async () => {
    const question = {
      title: t('applyTitle', { count: placement.steps.length }),
      consequence: t('applyText'),
      action: t('apply'),
    }
    await act(question, () => applyPlacement(placement.plan), t('applied'))
    await renewed()
  }
  const automatic = async (on: boolean) => {
    const question = {
      title: t(on ? 'automaticOnTitle' : 'automaticOffTitle'),
      consequence: t(on ? 'automaticOnText' : 'automaticOffText'),
      action: t(on ? 'automaticOn' : 'automaticOff'),
    }
    await act(question, () => setAutomatic(on), t('automaticChanged'))
    await renewed()
  }
  const keepWarm = async (on: boolean) => {
    const question = {
      title: t(on ? 'warmOnTitle' : 'warmOffTitle'),
      consequence: t(on ? 'warmOnText' : 'warmOffText'),
      action: t(on ? 'automaticOn' : 'automaticOff'),
    }
    await act(question, () => setKeepWarm(on), t('automaticChanged'))
    await renewed()
  }
  return (
    <div className={classes.named}>
      {mayDecide && (
        <Switch
          label={t('keepWarm')}
          checked={placement.keep_warm}
          onChange={(event) => void keepWarm(event.currentTarget.checked)}
        />
      )}
      {mayDecide && (
        <Switch
          label={t('automatic')}
          checked={placement.automatic}
          onChange={(event) => void automatic(event.currentTarget.checked)}
        />
      )}
      {placement.applying ? (
        <Button
          color="red"
          leftSection={<IconHandStop size={16} />}
          onClick={() => void attempt(stopPlacement, t('stopped')).then(renewed)}
        >
          {t('stop')}
        </Button>
      ) : (
        placement.steps.length > 0 && (
          <Button leftSection={<IconPlayerPlay size={16} />} onClick={() => void apply()}>
            {t('apply')}
          </Button>
        )
      )}
    </div>
  )
}
