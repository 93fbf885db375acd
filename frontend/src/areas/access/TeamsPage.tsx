/** The organisation's teams. */
import { Button, Select, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useAccessActs, useTeams, type Team } from '../../api/access'
import { useRoleChoices } from '../../api/members'
import { useMay } from '../../api/session'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { done } from '../../ui/toast'
import { slugOf } from './slug'

export function TeamsPage() {
  const { t } = useTranslation('access')
  const mayManage = useMay('member.manage')
  const list = useTeams()
  const roles = useRoleChoices()
  const [making, setMaking] = useState(false)
  const nameOf = (slug: string | null) =>
    slug === null ? t('noRole') : (roles.data?.find((each) => each.value === slug)?.label ?? slug)
  const columns: Column<Team>[] = [
    { id: 'name', header: t('name'), value: (row) => row.name, primary: true },
    { id: 'slug', header: t('slug'), value: (row) => row.slug, width: 180 },
    { id: 'role', header: t('role'), value: (row) => nameOf(row.role), width: 180 },
    { id: 'size', header: t('members'), value: (row) => row.size, align: 'right', width: 130 },
    {
      id: 'created',
      header: t('since'),
      value: (row) => row.created_at,
      cell: (row) => <time title={exactly(row.created_at)}>{when(row.created_at)}</time>,
      width: 150,
    },
  ]
  return (
    <Page
      title={t('teams')}
      lead={t('teamsLead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setMaking(true)}>
            {t('newTeam')}
          </Button>
        )
      }
    >
      <DataTable
        id="teams"
        label={t('teams')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/teams/$teamId', params: { teamId: row.id } })}
        empty={<PageEmpty title={t('noTeams')}>{t('noTeamsText')}</PageEmpty>}
      />
      {making && <TeamForm team={null} onClose={() => setMaking(false)} />}
    </Page>
  )
}

export function TeamForm({ team, onClose }: { team: Team | null; onClose: () => void }) {
  const { t } = useTranslation('access')
  const roles = useRoleChoices()
  const { createTeam, changeTeam } = useAccessActs()
  const editing = useApiForm({
    initial: { name: team?.name ?? '', slug: '', role: team?.role ?? '' },
    schema: z.object({ name: z.string().trim().min(1, t('nameNeeded')) }),
    send: async ({ name, slug, role }) => {
      const body = { name: name.trim(), role: role === '' ? null : role }
      if (team !== null) await changeTeam.mutateAsync({ id: team.id, ...body })
      else await createTeam.mutateAsync({ ...body, slug: slug === '' ? slugOf(name) : slug })
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
      title={team === null ? t('newTeam') : t('editOf', { name: team.name })}
      action={t('save')}
      of={editing}
    >
      <TextInput label={t('name')} maxLength={100} data-autofocus {...form.getInputProps('name')} />
      {team === null && (
        <TextInput
          label={t('slug')}
          description={t('slugHelp')}
          placeholder={slugOf(form.values.name)}
          maxLength={63}
          {...form.getInputProps('slug')}
        />
      )}
      <Select
        label={t('role')}
        description={t('teamRoleHelp')}
        allowDeselect={false}
        data={[
          { value: '', label: t('noRole') },
          ...(roles.data ?? []).filter((each) => each.value !== 'owner'),
        ]}
        {...form.getInputProps('role')}
      />
    </FormDialog>
  )
}
