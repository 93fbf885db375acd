/** One service account: how it is, its keys, what was granted to it, and what it may. */
import { Button, Group, Title } from '@mantine/core'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useAccessActs, useRightsOf, useServiceAccount, type ServiceAccount } from '../../api/access'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { act } from '../../ui/act'
import { confirmed } from '../../ui/confirm'
import { Fact, Facts } from '../../ui/Facts'
import { dateTime } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import { AccountKeys } from './AccountKeys'
import { AccountWorkloads } from './AccountWorkloads'
import { Grants } from './Grants'
import { RightsTable } from './RightsTable'
import { AccountForm } from './ServiceAccountsPage'

const route = getRouteApi('/inside/service-accounts/$accountId')

export function ServiceAccountPage() {
  const { accountId } = route.useParams()
  return <Loaded query={useServiceAccount(accountId)}>{(account) => <Shown account={account} />}</Loaded>
}

function Shown({ account }: { account: ServiceAccount }) {
  const { t } = useTranslation('access')
  const navigate = useNavigate()
  const mayManage = useMay('member.manage')
  const maySeeKeys = useMay('key.view')
  const { changeAccount, deleteAccount } = useAccessActs()
  const rights = useRightsOf(account.member)
  const [editing, setEditing] = useState(false)
  const active = account.state === 'active'
  const { name } = account
  const suspend = async () => {
    if (active) {
      const consequence = t('suspendText')
      const title = t('suspendTitle', { name })
      if (!(await confirmed({ title, consequence, action: t('suspend'), danger: true }))) return
    }
    changeAccount.mutate(
      { id: account.id, state: active ? 'suspended' : 'active' },
      { onSuccess: () => done(t(active ? 'suspendedDone' : 'resumedDone', { name })), onError: failed },
    )
  }
  const remove = async () => {
    const title = t('deleteTitle', { name })
    if (
      await act(
        {
          title,
          consequence: t('deleteAccountText'),
          action: t('delete'),
          danger: true,
          type: name,
        },
        () => deleteAccount.mutateAsync(account.id),
        t('deleted', { name }),
      )
    )
      await navigate({ to: '/service-accounts' })
  }
  return (
    <Page
      title={name}
      documentTitle={`${name} · ${t('accounts')}`}
      {...(account.description === '' ? {} : { lead: account.description })}
      beside={<Tag tone={active ? 'ok' : 'warn'}>{t(active ? 'active' : 'suspended')}</Tag>}
      actions={
        mayManage && (
          <>
            <Button variant="default" onClick={() => setEditing(true)}>
              {t('edit')}
            </Button>
            <Button variant="default" loading={changeAccount.isPending} onClick={() => void suspend()}>
              {t(active ? 'suspend' : 'resume')}
            </Button>
            <Button variant="subtle" color="red" onClick={() => void remove()}>
              {t('delete')}
            </Button>
          </>
        )
      }
    >
      <Card title={t('about')}>
        <Facts>
          <Fact name={t('role')}>{account.role}</Fact>
          <Fact name={t('keyTeam')}>{account.team ?? t('noTeam')}</Fact>
          <Fact name={t('createdBy')}>{account.created_by_name === '' ? '–' : account.created_by_name}</Fact>
          <Fact name={t('since')}>{dateTime(account.created_at)}</Fact>
        </Facts>
      </Card>
      {maySeeKeys && <AccountKeys account={account} />}
      {maySeeKeys && <AccountWorkloads account={account} />}
      <Grants of={{ member: account.member }} />
      <Group>
        <Title order={2} size="h4">
          {t('rights')}
        </Title>
      </Group>
      <RightsTable
        prefix="r"
        list={{ rows: rights.data?.reasons, error: rights.error, refetch: rights.refetch }}
      />
      {editing && <AccountForm account={account} onClose={() => setEditing(false)} />}
    </Page>
  )
}
