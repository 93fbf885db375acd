/** Links whoever came by an identity provider to the account that has their address, by its password. */
import { Alert, Button, PasswordInput } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useState, type SubmitEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { pendingLinkQuery, useLink } from '../../api/sso'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

export function LinkPage() {
  const { t } = useTranslation('session')
  const router = useRouter()
  const pending = useQuery(pendingLinkQuery)
  const link = useLink()
  const [password, setPassword] = useState('')
  const error = pending.error ?? link.error
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    link.mutate(password, { onSuccess: () => void router.navigate({ href: '/' }) })
  }
  return (
    <Outside title={t('linkTitle')}>
      <form onSubmit={submit} className={classes.form}>
        {error !== null && (
          <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
            {sentence(error)}
          </Alert>
        )}
        {pending.data !== undefined && (
          <>
            <p className={classes.text}>{t('linkText', pending.data)}</p>
            <PasswordInput
              label={t('password')}
              name="password"
              autoComplete="current-password"
              autoFocus
              required
              withAsterisk={false}
              size="md"
              visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
              value={password}
              onChange={(event) => {
                setPassword(event.currentTarget.value)
              }}
            />
            <Button type="submit" size="md" fullWidth loading={link.isPending}>
              {t('link')}
            </Button>
          </>
        )}
      </form>
    </Outside>
  )
}
