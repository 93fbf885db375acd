/** Said where nothing was measured or recorded. */
import { useTranslation } from 'react-i18next'
import classes from '../areas/requests/RequestTable.module.css'

export function NoData() {
  const { t } = useTranslation()
  return <span className={classes.none}>{t('state.noData')}</span>
}
