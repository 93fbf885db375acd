/** The keys of a service account: made with a secret that is shown once, and revoked. */
import { MultiSelect, Select, TextInput } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useAccessActs, useKeysOf, useRightsOf, type ServiceAccount } from '../../api/access'
import type { CreatedKey, Key } from '../../api/keys'
import type { Permission } from '../../api/session'
import { act } from '../../ui/act'
import { Dialog } from '../../ui/Dialog'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { dateTime, when } from '../../ui/format'
import { Once } from '../../ui/Once'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { Tag } from '../../ui/Tag'
import { useNow } from '../../ui/useNow'
import { AccountTable } from './AccountTable'
import { useWords } from './words'

export function AccountKeys({ account }: { account: ServiceAccount }) {
  const { t } = useTranslation('access')
  const list = useKeysOf(account.user)
  const { revokeKey } = useAccessActs()
  const now = useNow()
  const [making, setMaking] = useState(false)
  const stateOf = (key: Key) =>
    key.revoked_at !== null
      ? 'revoked'
      : key.expires_at !== null && Date.parse(key.expires_at) / 1000 <= now
        ? 'expired'
        : 'active'
  const columns: Column<Key>[] = [
    { id: 'name', header: t('name'), value: (row) => row.name, primary: true },
    { id: 'key', header: t('key'), value: (row) => `omx_${row.identifier}…`, width: 200 },
    {
      id: 'used',
      header: t('lastUsed'),
      value: (row) => row.last_used_at,
      cell: (row) => (row.last_used_at === null ? t('never') : when(row.last_used_at)),
      width: 150,
    },
    {
      id: 'expires',
      header: t('expires'),
      value: (row) => row.expires_at,
      cell: (row) => (row.expires_at === null ? t('never') : dateTime(row.expires_at)),
      width: 190,
    },
    {
      id: 'state',
      header: t('state'),
      value: stateOf,
      cell: (row) => <Tag tone={stateOf(row) === 'active' ? 'ok' : 'plain'}>{t(stateOf(row))}</Tag>,
      width: 120,
    },
  ]
  const revoke = async (key: Key) => {
    await act(
      {
        title: t('revokeTitle', { name: key.name }),
        consequence: t('revokeText'),
        action: t('revoke'),
        danger: true,
      },
      () => revokeKey.mutateAsync(key.id),
      t('revokedDone', { name: key.name }),
    )
  }
  return (
    <>
      <AccountTable
        id="account-keys"
        prefix="k"
        title={t('keys')}
        columns={columns}
        list={list}
        add={{ label: t('newKey'), run: () => setMaking(true) }}
        end={{ label: t('revoke'), of: (name) => t('revokeOf', { name }), run: revoke }}
        empty={<PageEmpty title={t('noKeys')} />}
      />
      {making && <NewKey account={account} onClose={() => setMaking(false)} />}
    </>
  )
}

const NEVER = ''

function NewKey({ account, onClose }: { account: ServiceAccount; onClose: () => void }) {
  const { t } = useTranslation('access')
  const words = useWords()
  const rights = useRightsOf(account.member)
  const { createKey } = useAccessActs()
  const [made, setMade] = useState<CreatedKey | null>(null)
  const own = new Set(rights.data?.reasons.map((each) => each.permission))
  const making = useApiForm({
    initial: { name: account.name, days: '90', permissions: ['inference.use', 'model.view'] },
    schema: z.object({
      name: z.string().trim().min(1, t('nameNeeded')),
      permissions: z.array(z.string()).min(1, t('permissionsNeeded')),
    }),
    send: ({ name, days, permissions }) =>
      createKey.mutateAsync({
        name: name.trim(),
        permissions: permissions as Permission[],
        service_account: account.id,
        expires_at: days === NEVER ? null : new Date(Date.now() + Number(days) * 86_400_000).toISOString(),
      }),
    onDone: setMade,
  })
  if (made !== null) {
    return (
      <Dialog opened onClose={onClose} title={t('keyMade')} held>
        <Once label={t('key')} text={made.secret} onDone={onClose} />
      </Dialog>
    )
  }
  const { form } = making
  return (
    <FormDialog opened onClose={onClose} title={t('newKey')} action={t('make')} of={making}>
      <TextInput label={t('name')} maxLength={100} data-autofocus {...form.getInputProps('name')} />
      <Select
        label={t('expires')}
        allowDeselect={false}
        data={[
          ...['30', '90', '365'].map((value) => ({ value, label: t('days', { count: Number(value) }) })),
          { value: NEVER, label: t('never') },
        ]}
        {...form.getInputProps('days')}
      />
      <MultiSelect
        label={t('permissions')}
        description={t('keyPermissionsHelp')}
        searchable
        data={words.choices.filter(
          (each) => own.has(each.value) || form.values.permissions.includes(each.value),
        )}
        {...form.getInputProps('permissions')}
      />
    </FormDialog>
  )
}
