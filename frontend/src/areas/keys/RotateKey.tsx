/** Gives a key another secret; the one before works on for a while, so that programs can be told one by one. */
import { Alert, Button, Select } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useRotateKey, type Key } from '../../api/keys'
import { Dialog } from '../../ui/Dialog'
import { dateTime } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import classes from './CreateKey.module.css'
import { Secret } from './Secret'

/** Seconds. */
const OVERLAPS = ['0', '3600', '86400', '604800', '2592000'] as const

export function RotateKey({ apiKey, onClose }: { apiKey: Key | null; onClose: () => void }) {
  const { t } = useTranslation(['keys', 'common'])
  const rotate = useRotateKey()
  const [overlap, setOverlap] = useState('86400')
  const made = rotate.data
  const close = () => {
    onClose()
    rotate.reset()
  }
  const until =
    made?.previous_until == null ? undefined : t('previousUntil', { when: dateTime(made.previous_until) })
  return (
    <Dialog
      opened={apiKey !== null}
      onClose={close}
      title={t('rotateOf', { name: apiKey?.name ?? '' })}
      held={made !== undefined}
    >
      {made === undefined ? (
        <div className={classes.form}>
          {rotate.error !== null && (
            <Alert color="red" variant="light" icon={<Icon name="alert" />}>
              {sentence(rotate.error)}
            </Alert>
          )}
          <p className={classes.text}>{t('rotateText')}</p>
          <Select
            label={t('overlap')}
            data={OVERLAPS.map((value) => ({ value, label: t(`overlapFor.${value}`) }))}
            value={overlap}
            allowDeselect={false}
            onChange={(value) => {
              setOverlap(value ?? '86400')
            }}
          />
          <div className={classes.buttons}>
            <Button variant="default" onClick={close} data-autofocus>
              {t('common:action.cancel')}
            </Button>
            <Button
              loading={rotate.isPending}
              onClick={() => {
                if (apiKey !== null) rotate.mutate({ id: apiKey.id, overlap: Number(overlap) })
              }}
            >
              {t('rotate')}
            </Button>
          </div>
        </div>
      ) : (
        <Secret
          label={t('newSecret')}
          secret={made.secret}
          onDone={close}
          {...(overlap === '0' || until === undefined ? {} : { more: until })}
        />
      )}
    </Dialog>
  )
}
