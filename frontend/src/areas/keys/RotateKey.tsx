/** Gives a key another secret; the one before works on for a while, so that programs can be told one by one. */
import { Alert, Button, Select } from '@mantine/core'
import { useState } from 'react'
import { sentence } from '../../api/client'
import { useRotateKey, type Key } from '../../api/keys'
import { Dialog } from '../../ui/Dialog'
import { dateTime } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import classes from './CreateKey.module.css'
import { Secret } from './Secret'

const OVERLAPS = [
  { value: '0', label: 'Not at all' },
  { value: '3600', label: 'One hour' },
  { value: '86400', label: 'One day' },
  { value: '604800', label: '7 days' },
  { value: '2592000', label: '30 days' },
]

export function RotateKey({ apiKey, onClose }: { apiKey: Key | null; onClose: () => void }) {
  const rotate = useRotateKey()
  const [overlap, setOverlap] = useState('86400')
  const made = rotate.data
  const close = () => {
    onClose()
    rotate.reset()
  }
  const until =
    made?.previous_until == null ? undefined : `The key before works until ${dateTime(made.previous_until)}.`
  return (
    <Dialog
      opened={apiKey !== null}
      onClose={close}
      title={`Rotate ${apiKey?.name ?? ''}`}
      held={made !== undefined}
    >
      {made === undefined ? (
        <div className={classes.form}>
          {rotate.error !== null && (
            <Alert color="red" variant="light" icon={<Icon name="alert" />}>
              {sentence(rotate.error)}
            </Alert>
          )}
          <p className={classes.text}>
            It gets another secret. What it may do, its limits and its usage stay.
          </p>
          <Select
            label="The secret before works on for"
            data={OVERLAPS}
            value={overlap}
            allowDeselect={false}
            onChange={(value) => {
              setOverlap(value ?? '86400')
            }}
          />
          <div className={classes.buttons}>
            <Button variant="default" onClick={close} data-autofocus>
              Cancel
            </Button>
            <Button
              loading={rotate.isPending}
              onClick={() => {
                if (apiKey !== null) rotate.mutate({ id: apiKey.id, overlap: Number(overlap) })
              }}
            >
              Rotate
            </Button>
          </div>
        </div>
      ) : (
        <Secret
          label="The key's new secret"
          secret={made.secret}
          onDone={close}
          {...(overlap === '0' || until === undefined ? {} : { more: until })}
        />
      )}
    </Dialog>
  )
}
