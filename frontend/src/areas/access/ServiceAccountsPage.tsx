/** Programs as members: with a role, teams, grants and keys of their own. */
import { Button, Select, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useAccessActs, useServiceAccounts, useTeams, type ServiceAccount } from '../../api/access'
import { useRoleChoices } from '../../api/members'
import { useMay } from '../../api/session'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { done } from '../../ui/toast'
import { slugOf } from './slug'

export function ServiceAccountsPage() {
  const { t } = useTranslation('access')
  const mayManage = useMay('member.manage')
  const list = useServiceAccounts()
  const [making, setMaking] = useState(false)
  const columns: Column<ServiceAccount>[] = [
    { id: 'name', header: t('name'), value: (row) => row.name, primary: true, width: 220 },
    { id: 'description', header: t('description'), value: (row) => row.description },
    { id: 'role', header: t('role'), value: (row) => row.role, width: 150 },
    { id: 'team', header: t('keyTeam'), value: (row) => row.team, width: 180 },
    {
      id: 'state',
      header: t('state'),
      value: (row) => row.state,
      cell: (row) => (
        <Tag tone={row.state === 'active' ? 'ok' : 'warn'}>
          {t(row.state === 'active' ? 'active' : 'suspended')}
        </Tag>
      ),
      width: 130,
    },
  ]
  return (
    <Page
      title={t('accounts')}
      lead={t('accountsLead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setMaking(true)}>
            {t('newAccount')}
          </Button>
        )
      }
    >
      <DataTable
        id="service-accounts"
        label={t('accounts')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/service-accounts/$accountId', params: { accountId: row.id } })}
        empty={<PageEmpty title={t('noAccounts')}>{t('noAccountsText')}</PageEmpty>}
      />
      {making && <AccountForm account={null} onClose={() => setMaking(false)} />}
    </Page>
  )
}

export function AccountForm({ account, onClose }: { account: ServiceAccount | null; onClose: () => void }) {
  const { t } = useTranslation('access')
  const roles = useRoleChoices()
  const teams = useTeams()
  const { createAccount, changeAccount } = useAccessActs()
  const editing = useApiForm({
    initial: {
      name: account?.name ?? '',
      description: account?.description ?? '',
      role: account?.role ?? 'member',
      team: account?.team ?? '',
    },
    schema: z.object({
      name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, t('accountName')),
      role: z.string().min(1),
    }),
    send: async ({ name, description, role, team }) => {
      const body = { description, role, team: team === '' ? null : team }
      if (account !== null) await changeAccount.mutateAsync({ id: account.id, ...body })
      else await createAccount.mutateAsync({ name: slugOf(name), ...body })
    },
    onDone: (_, { name }) => {
      done(t('saved', { name }))
      onClose()
    },
  })
  const { form } = editing
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={account === null ? t('newAccount') : t('editOf', { name: account.name })}
      action={t('save')}
      of={editing}
    >
      {account === null && (
        <TextInput
          label={t('name')}
          description={t('accountName')}
          maxLength={63}
          data-autofocus
          {...form.getInputProps('name')}
        />
      )}
      <TextInput label={t('description')} maxLength={300} {...form.getInputProps('description')} />
      <Select
        label={t('role')}
        allowDeselect={false}
        data={(roles.data ?? []).filter((each) => each.value !== 'owner')}
        {...form.getInputProps('role')}
      />
      <Select
        label={t('keyTeam')}
        description={t('keyTeamHelp')}
        allowDeselect={false}
        data={[
          { value: '', label: t('noTeam') },
          ...(teams.rows ?? []).map((each) => ({ value: each.slug, label: each.name })),
        ]}
        {...form.getInputProps('team')}
      />
    </FormDialog>
  )
}
