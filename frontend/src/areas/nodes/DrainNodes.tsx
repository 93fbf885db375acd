/** Asks until when nodes may finish what they run. */
import { Button, Select } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Dialog } from '../../ui/Dialog'
import classes from './NodePage.module.css'

const MINUTES = [0, 5, 15, 60, 240, 1440] as const

interface DrainNodesProps {
  count: number
  onClose: () => void
  onDrain: (seconds: number) => void
}

export function DrainNodes({ count, onClose, onDrain }: DrainNodesProps) {
  const { t } = useTranslation(['nodes', 'common'])
  const [minutes, setMinutes] = useState('15')
  return (
    <Dialog opened onClose={onClose} title={t('drainTitle', { count })}>
      <div className={classes.form}>
        <p>{t('drainText')}</p>
        <Select
          label={t('drainUntil')}
          data={MINUTES.map((value) => ({ value: String(value), label: t(`minutes.${value}`) }))}
          value={minutes}
          allowDeselect={false}
          onChange={(value) => {
            setMinutes(value ?? '15')
          }}
        />
        <div className={classes.buttons}>
          <Button variant="default" onClick={onClose}>
            {t('common:action.cancel')}
          </Button>
          <Button
            onClick={() => {
              onDrain(Number(minutes) * 60)
              onClose()
            }}
          >
            {t('drain')}
          </Button>
        </div>
      </div>
    </Dialog>
  )
}
