/** One field for what somebody shows to prove who they are, a button for passkeys, and a way to the others they have. */
import { Alert, Anchor, Button, PasswordInput, TextInput } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../api/client'
import type { Proof } from '../api/proof'
import classes from './form/FormDialog.module.css'

interface ProofFormProps {
  ways: readonly string[]
  /** What the button that sends it says. */
  action: string
  passkey: () => Promise<Proof>
  send: (proof: Proof) => Promise<unknown>
  onCancel?: () => void
}

const TYPED = ['totp', 'password', 'recovery_code'] as const
type Typed = (typeof TYPED)[number]

export function ProofForm({ ways, action, passkey, send, onCancel }: ProofFormProps) {
  const { t } = useTranslation()
  const typed = TYPED.filter((each) => ways.includes(each))
  const hasPasskey = ways.includes('passkey')
  const [way, setWay] = useState<Typed | null>(
    typed.find((each) => each !== 'recovery_code' || !hasPasskey) ?? null,
  )
  const [text, setText] = useState('')
  const [failure, setFailure] = useState<string | null>(null)
  const [pending, setPending] = useState(false)
  const show = async (proof: () => Promise<Proof>) => {
    setPending(true)
    setFailure(null)
    try {
      await send(await proof())
    } catch (error) {
      setText('')
      setFailure(sentence(error))
    } finally {
      setPending(false)
    }
  }
  const others = typed.filter((each) => each !== way)
  const field = {
    label: way === null ? '' : t(`proof.${way}`),
    value: text,
    onChange: (event: { currentTarget: { value: string } }) => {
      setText(event.currentTarget.value)
    },
    withAsterisk: false,
    required: true,
    'data-autofocus': true,
    autoFocus: true,
  }
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault()
        if (way === null || text.trim() === '') return
        const proof: Record<Typed, Proof> = {
          totp: { code: text },
          password: { password: text },
          recovery_code: { recovery_code: text },
        }
        void show(() => Promise.resolve(proof[way]))
      }}
    >
      {failure !== null && (
        <Alert color="red" variant="light" role="alert">
          {failure}
        </Alert>
      )}
      {hasPasskey && (
        <Button
          variant={way === null ? 'filled' : 'default'}
          fullWidth
          loading={pending && way === null}
          onClick={() => void show(passkey)}
        >
          {t('proof.passkey')}
        </Button>
      )}
      {way === 'password' && (
        <PasswordInput
          {...field}
          autoComplete="current-password"
          visibilityToggleButtonProps={{ 'aria-label': t('proof.showPassword') }}
        />
      )}
      {way === 'totp' && (
        <TextInput {...field} inputMode="numeric" autoComplete="one-time-code" maxLength={9} />
      )}
      {way === 'recovery_code' && <TextInput {...field} autoComplete="off" maxLength={50} />}
      {others.map((each) => (
        <Anchor
          key={each}
          component="button"
          type="button"
          size="sm"
          ta="left"
          onClick={() => {
            setWay(each)
            setText('')
            setFailure(null)
          }}
        >
          {t(`proof.by.${each}`)}
        </Anchor>
      ))}
      <div className={classes.buttons}>
        {onCancel !== undefined && (
          <Button variant="default" onClick={onCancel}>
            {t('action.cancel')}
          </Button>
        )}
        {way !== null && (
          <Button type="submit" loading={pending}>
            {action}
          </Button>
        )}
      </div>
    </form>
  )
}
