/** Log in with email and password. */
import { Alert, Button, PasswordInput, TextInput } from '@mantine/core'
import { getRouteApi, useRouter } from '@tanstack/react-router'
import { useState, type SubmitEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem, sentence } from '../../api/client'
import { useLogIn } from '../../api/session'
import { useDocumentTitle } from '../../ui/Page'
import { Icon } from '../../ui/Icon'
import { Logo } from '../../ui/Logo'
import { SchemeToggle } from '../../app/SchemeToggle'
import { span } from '../../ui/format'
import classes from './LoginPage.module.css'

const route = getRouteApi('/login')

export function LoginPage() {
  const router = useRouter()
  const { next } = route.useSearch()
  const logIn = useLogIn()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')

  const { t } = useTranslation('session')
  useDocumentTitle(t('title'))

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    logIn.mutate(
      { email: email.trim(), password },
      {
        onSuccess: () => {
          void router.navigate({ href: next ?? '/' })
        },
        onError: () => {
          setPassword('')
          document.getElementById('password')?.focus()
        },
      },
    )
  }

  return (
    <div className={classes.page}>
      <header className={classes.top}>
        <SchemeToggle />
      </header>
      <main className={classes.main}>
        <div className={classes.card}>
          <Logo />
          <h1 className={classes.title}>{t('title')}</h1>
          <form onSubmit={submit} className={classes.form}>
            {logIn.error !== null && (
              <Alert color="red" variant="light" icon={<Icon name="alert" />} role="alert">
                {logIn.error instanceof Problem && logIn.error.retryAfter !== null
                  ? t('tooMany', { span: span(logIn.error.retryAfter) })
                  : sentence(logIn.error)}
              </Alert>
            )}
            <TextInput
              id="email"
              label={t('email')}
              type="email"
              name="email"
              autoComplete="username"
              autoFocus
              required
              withAsterisk={false}
              size="md"
              value={email}
              onChange={(event) => {
                setEmail(event.currentTarget.value)
              }}
            />
            <PasswordInput
              id="password"
              label={t('password')}
              name="password"
              autoComplete="current-password"
              required
              withAsterisk={false}
              size="md"
              visibilityToggleButtonProps={{ 'aria-label': t('showPassword') }}
              value={password}
              onChange={(event) => {
                setPassword(event.currentTarget.value)
              }}
            />
            <Button type="submit" size="md" fullWidth loading={logIn.isPending}>
              {t('title')}
            </Button>
          </form>
        </div>
      </main>
    </div>
  )
}
