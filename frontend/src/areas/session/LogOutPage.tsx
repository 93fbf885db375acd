/** Asks whoever an application led here whether they want to log out, since it did not say whose session it meant. */
import { Button } from '@mantine/core'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useLogOut } from '../../api/session'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

const route = getRouteApi('/log-out')

export function LogOutPage() {
  const { t } = useTranslation('session')
  const search = route.useSearch()
  const logOut = useLogOut()
  const leave = () => {
    logOut.mutate(undefined, {
      onSuccess: (provider) => {
        // Nobody is logged in now: the server leads on to the application's address, if it is one of its own.
        window.location.assign(
          provider === '' ? `/oauth/end-session?${new URLSearchParams(search).toString()}` : provider,
        )
      },
    })
  }
  return (
    <Outside title={t('logOutTitle')}>
      <div className={classes.form}>
        <p className={classes.text}>{t('logOutText')}</p>
        {logOut.error !== null && <p role="alert">{sentence(logOut.error)}</p>}
        <Button size="md" fullWidth loading={logOut.isPending} onClick={leave}>
          {t('logOut')}
        </Button>
        <Button renderRoot={(props) => <Link {...props} to="/" />} variant="default" size="md" fullWidth>
          {t('stay')}
        </Button>
      </div>
    </Outside>
  )
}
