/** For the owners of an organisation: take its data along, and have all of it deleted. */
import { Button, Group } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Tenant } from '../../api/tenant'
import { saveExport, useTenantDeletion } from '../../api/tenants'
import { act } from '../../ui/act'
import { Card } from '../../ui/Card'
import { failed } from '../../ui/toast'

export function DeleteTenant({ tenant }: { tenant: Tenant }) {
  const { t } = useTranslation('settings')
  const { askDeletion } = useTenantDeletion()
  const ask = () =>
    act(
      {
        title: t('deletion.question', { name: tenant.name }),
        consequence: t('deletion.text'),
        action: t('deletion.delete', { name: tenant.name }),
        danger: true,
        type: tenant.slug,
      },
      () => askDeletion.mutateAsync(tenant),
      t('deletion.done', { name: tenant.name }),
    )
  return (
    <Card title={t('deletion.title')}>
      <p>{t('deletion.text')}</p>
      <Group gap="xs">
        <Button variant="default" onClick={() => void saveExport(tenant).catch(failed)}>
          {t('deletion.export')}
        </Button>
        <Button color="red" variant="light" onClick={() => void ask()}>
          {t('deletion.delete', { name: tenant.name })}
        </Button>
      </Group>
    </Card>
  )
}
