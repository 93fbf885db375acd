/** Why a log-in by an identity provider was refused. The address holds a reason of a list, and at most an error code of the provider's. */
import { Alert, Button } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type session from './en.json'
import classes from './LoginPage.module.css'
import { Outside } from './Outside'

const route = getRouteApi('/log-in-problem')
type Reason = keyof typeof session.why

export function ProblemPage() {
  const { t, i18n } = useTranslation('session')
  const { why, said } = route.useSearch()
  const reason: Reason = i18n.exists(`session:why.${why}`) ? (why as Reason) : 'other'
  return (
    <Outside title={t('refused')}>
      <div className={classes.form}>
        <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
          {t(`why.${reason}`)}
        </Alert>
        {said !== undefined && <p className={classes.text}>{t('said', { code: said })}</p>}
        <p className={classes.text}>{t('askAdministrator')}</p>
        <Button
          renderRoot={(props) => <Link {...props} to="/login" search={{}} />}
          variant="default"
          size="md"
          fullWidth
        >
          {t('again')}
        </Button>
      </div>
    </Outside>
  )
}
