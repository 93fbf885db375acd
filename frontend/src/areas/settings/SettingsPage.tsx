/** Settings: the organisation's own, which can be changed here, and for the operator every setting of the installation. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { sessionQuery, useMay } from '../../api/session'
import { useTenant } from '../../api/tenant'
import { Card } from '../../ui/Card'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { DeleteTenant } from './DeleteTenant'
import { Installation } from './Installation'
import { TenantForm } from './TenantForm'
import { TrustedSigners } from './TrustedSigners'

export function SettingsPage() {
  const { t } = useTranslation('settings')
  const isOperator = useMay('tenant.manage')
  const mayChange = useMay('member.manage')
  const seesModels = useMay('model.view')
  const isOwner = useQuery(sessionQuery).data?.tenant?.role === 'owner'
  const tenant = useTenant()
  return (
    <Page title={t('title')} lead={t(isOperator ? 'leadOperator' : 'lead')}>
      <Loaded query={tenant}>
        {(found) => (
          <>
            <Card title={t('ofTenant', { name: found.name })}>
              <TenantForm key={found.id} tenant={found} mayChange={mayChange} />
            </Card>
            {seesModels && <TrustedSigners mayChange={mayChange} />}
            {isOwner && !found.is_operator && <DeleteTenant tenant={found} />}
          </>
        )}
      </Loaded>
      {isOperator && <Installation />}
    </Page>
  )
}
