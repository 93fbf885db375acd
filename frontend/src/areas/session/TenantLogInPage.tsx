/** Log in to one tenant by its identity providers. */
import { Anchor, Loader } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { doorsQuery } from '../../api/sso'
import { Doors } from './Doors'
import classes from './LoginPage.module.css'
import { isOfServer } from './next'
import { Outside } from './Outside'

const route = getRouteApi('/log-in/$tenant')

export function TenantLogInPage() {
  const { t } = useTranslation('session')
  const { tenant } = route.useParams()
  const { next } = route.useSearch()
  const doors = useQuery(doorsQuery(tenant))
  const found = doors.data ?? []
  return (
    <Outside title={found[0] === undefined ? t('title') : t('titleOf', { name: found[0].tenant })}>
      <div className={classes.form}>
        {doors.isPending && <Loader size="sm" aria-hidden="true" />}
        {doors.error !== null && <p role="alert">{sentence(doors.error)}</p>}
        {doors.isSuccess && found.length === 0 && <p className={classes.text}>{t('noDoors')}</p>}
        <Doors doors={found} next={next} />
        <Anchor
          renderRoot={(props) => (
            <Link
              {...props}
              to="/login"
              search={next === undefined ? {} : { next, ...(isOfServer(next) && { again: '1' }) }}
            />
          )}
        >
          {t('byPassword')}
        </Anchor>
      </div>
    </Outside>
  )
}
