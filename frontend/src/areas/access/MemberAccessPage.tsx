/** What one person or program may, and why. */
import { Alert } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useHolderChoices, useRightsOf } from '../../api/access'
import { sessionQuery } from '../../api/session'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { Grants } from './Grants'
import { RightsTable } from './RightsTable'

const route = getRouteApi('/inside/access/members/$memberId')

export function MemberAccessPage() {
  const { t } = useTranslation('access')
  const { memberId } = route.useParams()
  const rights = useRightsOf(memberId)
  const name = useHolderChoices().data?.find((each) => each.value === memberId)?.label ?? t('member')
  const tenant = useQuery(sessionQuery).data?.tenant?.name ?? ''
  return (
    <Page title={name} documentTitle={`${name} · ${t('access')}`} lead={t('memberLead', { tenant })}>
      <Loaded query={rights}>
        {(found) => (
          <>
            {!found.counts && (
              <Alert color="yellow" variant="light">
                {t('doesNotCount')}
              </Alert>
            )}
            <RightsTable prefix="r" list={{ rows: found.reasons }} />
          </>
        )}
      </Loaded>
      <Grants of={{ member: memberId }} />
    </Page>
  )
}
