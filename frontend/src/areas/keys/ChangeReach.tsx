/** Changes where and for what a key may be used; what runs with it and may not any more ends within a second. */
import { Alert, Button } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useChangeReach, type Key } from '../../api/keys'
import { Dialog } from '../../ui/Dialog'
import { Icon } from '../../ui/Icon'
import classes from './CreateKey.module.css'
import { ReachFields } from './ReachFields'
import { reachOf, textOf } from './reach'

export function ChangeReach({ apiKey, onClose }: { apiKey: Key; onClose: () => void }) {
  const { t } = useTranslation(['keys', 'common'])
  const change = useChangeReach()
  const [reach, setReach] = useState(() => textOf(apiKey.reach))
  return (
    <Dialog opened onClose={onClose} title={t('reach.of', { name: apiKey.name })}>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault()
          change.mutate({ id: apiKey.id, reach: reachOf(reach) }, { onSuccess: onClose })
        }}
      >
        {change.error !== null && (
          <Alert color="red" variant="light" icon={<Icon name="alert" />}>
            {sentence(change.error)}
          </Alert>
        )}
        <ReachFields value={reach} onChange={setReach} />
        <div className={classes.buttons}>
          <Button variant="default" onClick={onClose}>
            {t('common:action.cancel')}
          </Button>
          <Button type="submit" loading={change.isPending}>
            {t('reach.save')}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
