/** The dialog that makes an API key: its name, life, priority and limits; then its secret, shown once. */
import { Alert, Button, Select, TextInput } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useCreateKey, type Key } from '../../api/keys'
import { LIMIT_NAMES } from '../../api/limits'
import classes from './CreateKey.module.css'
import { Dialog } from '../../ui/Dialog'
import { Icon } from '../../ui/Icon'
import { ReachFields } from './ReachFields'
import { Secret } from './Secret'
import { NO_REACH, reachOf } from './reach'

/** Days. */
const LIFETIMES = ['30', '90', '365'] as const
const PRIORITIES = ['high', 'normal', 'low'] as const satisfies readonly Key['priority'][]
const UNLIMITED = {
  requests_per_minute: '',
  tokens_per_minute: '',
  input_tokens_per_minute: '',
  output_tokens_per_minute: '',
  concurrent_requests: '',
  context_tokens: '',
  output_tokens: '',
}

interface CreateKeyProps {
  opened: boolean
  /** Whether this person may give a key high priority. */
  mayGiveHigh: boolean
  onClose: () => void
}

export function CreateKey({ opened, mayGiveHigh, onClose }: CreateKeyProps) {
  const { t } = useTranslation(['keys', 'common'])
  const create = useCreateKey()
  const [name, setName] = useState('')
  const [days, setDays] = useState('90')
  const [priority, setPriority] = useState<Key['priority']>('normal')
  const [limits, setLimits] = useState(UNLIMITED)
  const [reach, setReach] = useState(NO_REACH)
  const close = () => {
    onClose()
    setName('')
    setPriority('normal')
    setLimits(UNLIMITED)
    setReach(NO_REACH)
    create.reset()
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const expires = days === '' ? null : new Date(Date.now() + Number(days) * 86_400_000).toISOString()
    create.mutate({
      name: name.trim(),
      expires_at: expires,
      priority,
      limits: Object.fromEntries(LIMIT_NAMES.map((limit) => [limit, numberOf(limits[limit])])),
      reach: reachOf(reach),
    })
  }
  const made = create.data
  return (
    <Dialog
      opened={opened}
      onClose={close}
      title={made === undefined ? t('createTitle') : t('made')}
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
            label={t('name')}
            description={t('nameText')}
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
              label={t('expires')}
              data={[
                ...LIFETIMES.map((value) => ({ value, label: t(`life.${value}`) })),
                { value: '', label: t('never') },
              ]}
              value={days}
              allowDeselect={false}
              onChange={(value) => {
                setDays(value ?? '')
              }}
            />
            <Select
              label={t('priority')}
              data={PRIORITIES.filter((each) => mayGiveHigh || each !== 'high').map((value) => ({
                value,
                label: t(`class.${value}`),
              }))}
              value={priority}
              allowDeselect={false}
              onChange={(value) => {
                setPriority(value ?? 'normal')
              }}
            />
          </div>
          <fieldset className={classes.limits}>
            <legend className={classes.legend}>{t('limits')}</legend>
            {LIMIT_NAMES.map((limit) => (
              <TextInput
                key={limit}
                type="number"
                min={1}
                max={2_147_483_647}
                step={1}
                label={t(limit)}
                placeholder={t('noLimit')}
                value={limits[limit]}
                onChange={(event) => {
                  setLimits({ ...limits, [limit]: event.currentTarget.value })
                }}
              />
            ))}
          </fieldset>
          <ReachFields value={reach} onChange={setReach} />
          <div className={classes.buttons}>
            <Button variant="default" onClick={close}>
              {t('common:action.cancel')}
            </Button>
            <Button type="submit" loading={create.isPending} disabled={name.trim() === ''}>
              {t('createAct')}
            </Button>
          </div>
        </form>
      ) : (
        <Secret label={t('newKey')} secret={made.secret} onDone={close} />
      )}
    </Dialog>
  )
}

function numberOf(text: string): number | null {
  return text === '' ? null : Number(text)
}
