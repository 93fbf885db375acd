/** What is shown when a page cannot be: the reason, and a way on. */
import { Button } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { sentence } from '../api/client'
import { Logo } from '../ui/Logo'
import classes from './Failure.module.css'

export function Failure({ error }: { error: unknown }) {
  const { t } = useTranslation()
  return (
    <main className={classes.page}>
      <Logo />
      <h1 className={classes.title}>{t('state.shell')}</h1>
      <p className={classes.text}>{sentence(error)}</p>
      <Button
        onClick={() => {
          window.location.reload()
        }}
      >
        {t('action.again')}
      </Button>
    </main>
  )
}

export function NotFound() {
  const { t } = useTranslation()
  return (
    <main className={classes.page}>
      <Logo />
      <h1 className={classes.title}>{t('state.missing')}</h1>
      <p className={classes.text}>
        <Link to="/">{t('state.home')}</Link>
      </p>
    </main>
  )
}
