/** On every page, to every member of it: an organisation that is to be deleted, until when that can be taken back, and by its owners how. */
import { Alert, Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { sessionQuery } from '../api/session'
import { saveExport, useTenantDeletion } from '../api/tenants'
import { attempt } from '../ui/act'
import { dateTime } from '../ui/format'
import { failed } from '../ui/toast'
import classes from './Shell.module.css'

export function Leaving() {
  const { t } = useTranslation()
  const leaving = useQuery(sessionQuery).data?.leaving ?? []
  const { keep } = useTenantDeletion()
  return leaving.map((tenant) => (
    <Alert
      key={tenant.id}
      color="red"
      variant="light"
      mb="md"
      role="status"
      title={t('leaving.title', { name: tenant.name, date: dateTime(tenant.deletes_at) })}
    >
      <p>{t(tenant.is_owner ? 'leaving.owner' : 'leaving.member')}</p>
      {tenant.is_owner && (
        <div className={classes.acts}>
          <Button
            size="compact-sm"
            loading={keep.isPending}
            onClick={() =>
              void attempt(() => keep.mutateAsync(tenant.id), t('leaving.kept', { name: tenant.name }))
            }
          >
            {t('leaving.keep')}
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => void saveExport(tenant).catch(failed)}>
            {t('leaving.export')}
          </Button>
        </div>
      )}
    </Alert>
  ))
}
