/** The model of a request in a table; a click anywhere on its row opens the request's page. */
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import classes from './RequestTable.module.css'

export function RequestLink({ request, model }: { request: string; model: string }) {
  const { t } = useTranslation('requests')
  return (
    <Link
      to="/requests/$id"
      params={{ id: request }}
      className={classes.link}
      aria-label={t('linkOf', { model, id: request.slice(-8) })}
    >
      {model}
    </Link>
  )
}
