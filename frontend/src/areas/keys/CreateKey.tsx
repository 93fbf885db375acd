/** The dialog that makes an API key: its name, life, priority and limits; then its secret, shown once. */
import { Alert, Button, Select, TextInput } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { sentence } from '../../api/client'
import { useCreateKey, type Key } from '../../api/keys'
import classes from './CreateKey.module.css'
import { Dialog } from '../../ui/Dialog'
import { Icon } from '../../ui/Icon'
import { Secret } from './Secret'

const LIFETIMES = [
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
  { value: '365', label: 'One year' },
  { value: '', label: 'Never' },
]

const PRIORITIES: { value: Key['priority']; label: string }[] = [
  { value: 'high', label: 'High' },
  { value: 'normal', label: 'Normal' },
  { value: 'low', label: 'Low' },
]

const LIMITS: { name: keyof Key['limits']; label: string }[] = [
  { name: 'requests_per_minute', label: 'Requests a minute' },
  { name: 'tokens_per_minute', label: 'Tokens a minute' },
  { name: 'concurrent_requests', label: 'Requests at once' },
]

const UNLIMITED = { requests_per_minute: '', tokens_per_minute: '', concurrent_requests: '' }

interface CreateKeyProps {
  opened: boolean
  /** Whether this person may give a key high priority. */
  mayGiveHigh: boolean
  onClose: () => void
}

export function CreateKey({ opened, mayGiveHigh, onClose }: CreateKeyProps) {
  const create = useCreateKey()
  const [name, setName] = useState('')
  const [days, setDays] = useState('90')
  const [priority, setPriority] = useState<Key['priority']>('normal')
  const [limits, setLimits] = useState(UNLIMITED)
  const close = () => {
    onClose()
    setName('')
    setPriority('normal')
    setLimits(UNLIMITED)
    create.reset()
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const expires = days === '' ? null : new Date(Date.now() + Number(days) * 86_400_000).toISOString()
    create.mutate({
      name: name.trim(),
      expires_at: expires,
      priority,
      limits: {
        requests_per_minute: numberOf(limits.requests_per_minute),
        tokens_per_minute: numberOf(limits.tokens_per_minute),
        concurrent_requests: numberOf(limits.concurrent_requests),
      },
    })
  }
  const made = create.data
  return (
    <Dialog
      opened={opened}
      onClose={close}
      title={made === undefined ? 'Create an API key' : 'The key is made'}
      held={made !== undefined}
    >
      {made === undefined ? (
        <form onSubmit={submit} className={classes.form}>
          {create.error !== null && (
            <Alert color="red" variant="light" icon={<Icon name="alert" />}>
              {sentence(create.error)}
            </Alert>
          )}
          <TextInput
            label="Name"
            description="What will use it, for example “billing service”."
            required
            withAsterisk={false}
            maxLength={100}
            data-autofocus
            value={name}
            onChange={(event) => {
              setName(event.currentTarget.value)
            }}
          />
          <div className={classes.pair}>
            <Select
              label="Expires"
              data={LIFETIMES}
              value={days}
              allowDeselect={false}
              onChange={(value) => {
                setDays(value ?? '')
              }}
            />
            <Select
              label="Priority"
              data={PRIORITIES.filter((each) => mayGiveHigh || each.value !== 'high')}
              value={priority}
              allowDeselect={false}
              onChange={(value) => {
                setPriority(value ?? 'normal')
              }}
            />
          </div>
          <fieldset className={classes.limits}>
            <legend className={classes.legend}>Limits</legend>
            {LIMITS.map((limit) => (
              <TextInput
                key={limit.name}
                type="number"
                min={1}
                max={2_147_483_647}
                step={1}
                label={limit.label}
                placeholder="No limit"
                value={limits[limit.name]}
                onChange={(event) => {
                  setLimits({ ...limits, [limit.name]: event.currentTarget.value })
                }}
              />
            ))}
          </fieldset>
          <div className={classes.buttons}>
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending} disabled={name.trim() === ''}>
              Create
            </Button>
          </div>
        </form>
      ) : (
        <Secret label="The new API key" secret={made.secret} onDone={close} />
      )}
    </Dialog>
  )
}

function numberOf(text: string): number | null {
  return text === '' ? null : Number(text)
}
