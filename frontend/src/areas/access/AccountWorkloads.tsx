/** The programs elsewhere, in a CI or a cluster, that may act as a service account by their issuers' word. */
import { Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import type { ServiceAccount } from '../../api/access'
import { useWorkloadActs, useWorkloadsOf, type Workload } from '../../api/workloads'
import { act } from '../../ui/act'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { Tag } from '../../ui/Tag'
import { done } from '../../ui/toast'
import { AccountTable } from './AccountTable'
import { rulesOf } from './claimRules'

export function AccountWorkloads({ account }: { account: ServiceAccount }) {
  const { t } = useTranslation('access')
  const list = useWorkloadsOf(account.user)
  const { remove } = useWorkloadActs()
  const [making, setMaking] = useState(false)
  const columns: Column<Workload>[] = [
    { id: 'name', header: t('name'), value: (row) => row.name, primary: true },
    { id: 'issuer', header: t('workload.issuer'), value: (row) => row.issuer, width: 190 },
    {
      id: 'rules',
      header: t('workload.rules'),
      value: (row) => row.rules.map(({ claim, pattern }) => `${claim} = ${pattern}`).join(', '),
      width: 190,
    },
    { id: 'id', header: t('workload.id'), value: (row) => row.id, width: 310 },
    {
      id: 'used',
      header: t('lastUsed'),
      value: (row) => row.used_at,
      cell: (row) => (row.used_at === null ? t('never') : when(row.used_at)),
      width: 110,
    },
    {
      id: 'state',
      header: t('state'),
      value: (row) => row.revoked_at,
      cell: (row) => (
        <Tag tone={row.revoked_at === null ? 'ok' : 'plain'}>
          {t(row.revoked_at === null ? 'active' : 'revoked')}
        </Tag>
      ),
      width: 100,
    },
  ]
  const end = async (row: Workload) => {
    await act(
      {
        title: t('workload.endTitle', { name: row.name }),
        consequence: t('workload.endText'),
        action: t('delete'),
        danger: true,
      },
      () => remove.mutateAsync(row.id),
      t('deleted', { name: row.name }),
    )
  }
  return (
    <>
      <AccountTable
        id="account-workloads"
        prefix="w"
        title={t('workload.title')}
        columns={columns}
        list={list}
        add={{ label: t('workload.new'), run: () => setMaking(true) }}
        end={{ label: t('delete'), of: (name) => t('deleteOf', { name }), run: end }}
        empty={<PageEmpty title={t('workload.none')}>{t('workload.noneText')}</PageEmpty>}
      />
      {making && <NewWorkload account={account} onClose={() => setMaking(false)} />}
    </>
  )
}

function NewWorkload({ account, onClose }: { account: ServiceAccount; onClose: () => void }) {
  const { t } = useTranslation('access')
  const { create } = useWorkloadActs()
  const needed = z.string().trim().min(1, t('workload.needed'))
  const making = useApiForm({
    initial: { name: '', issuer: '', audience: 'ollamamax', rules: '' },
    schema: z.object({
      name: needed,
      issuer: needed,
      audience: needed,
      rules: z.string().refine((text) => rulesOf(text) !== null, t('workload.rulesNeeded')),
    }),
    send: ({ name, issuer, audience, rules }) =>
      create.mutateAsync({
        name: name.trim(),
        issuer: issuer.trim(),
        audience: audience.trim(),
        rules: rulesOf(rules) ?? [],
        service_account: account.id,
      }),
    onDone: (made) => {
      done(t('saved', { name: made.name }))
      onClose()
    },
  })
  const { form } = making
  return (
    <FormDialog opened onClose={onClose} title={t('workload.new')} action={t('make')} of={making}>
      <TextInput label={t('name')} maxLength={100} data-autofocus {...form.getInputProps('name')} />
      <TextInput
        label={t('workload.issuer')}
        description={t('workload.issuerText')}
        maxLength={1000}
        {...form.getInputProps('issuer')}
      />
      <TextInput
        label={t('workload.audience')}
        description={t('workload.audienceText')}
        maxLength={255}
        {...form.getInputProps('audience')}
      />
      <Textarea
        label={t('workload.rules')}
        description={t('workload.rulesText')}
        autosize
        minRows={2}
        maxRows={8}
        maxLength={15000}
        {...form.getInputProps('rules')}
      />
    </FormDialog>
  )
}
