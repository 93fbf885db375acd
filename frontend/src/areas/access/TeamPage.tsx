/** One team: who is in it, and what was granted to it. */
import { Button, Group, Select, Title } from '@mantine/core'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import {
  useAccessActs,
  useHolderChoices,
  useTeam,
  useTeamMembers,
  type Team,
  type TeamMember,
} from '../../api/access'
import { useMay } from '../../api/session'
import { confirmed } from '../../ui/confirm'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import { Grants } from './Grants'
import { TeamForm } from './TeamsPage'

const route = getRouteApi('/inside/teams/$teamId')

export function TeamPage() {
  const { teamId } = route.useParams()
  return <Loaded query={useTeam(teamId)}>{(team) => <Shown team={team} />}</Loaded>
}

/** How a person or a program in a team is called: a program's address begins with its name. */
const nameOf = (row: TeamMember) => (row.is_program ? (row.email.split('@')[0] ?? row.email) : row.email)

function Shown({ team }: { team: Team }) {
  const { t } = useTranslation('access')
  const navigate = useNavigate()
  const mayManage = useMay('member.manage')
  const list = useTeamMembers(team.id)
  const { deleteTeam, takeOutOfTeam } = useAccessActs()
  const [editing, setEditing] = useState(false)
  const [adding, setAdding] = useState(false)
  const columns: Column<TeamMember>[] = [
    { id: 'name', header: t('member'), value: nameOf, primary: true },
    {
      id: 'kind',
      header: t('kindOf'),
      value: (row) => t(row.is_program ? 'holderKind.program' : 'holderKind.person'),
      width: 160,
    },
    {
      id: 'state',
      header: t('state'),
      value: (row) => row.state,
      cell: (row) =>
        row.state === 'active' ? (
          <Tag tone="ok">{t('active')}</Tag>
        ) : (
          <Tag tone="warn">{row.state === 'suspended' ? t('suspended') : row.state}</Tag>
        ),
      width: 130,
    },
    {
      id: 'since',
      header: t('since'),
      value: (row) => row.created_at,
      cell: (row) => <time title={exactly(row.created_at)}>{when(row.created_at)}</time>,
      width: 150,
    },
  ]
  const ask = async (title: string, consequence: string, action: string, act: () => Promise<unknown>) => {
    if (!(await confirmed({ title, consequence, action, danger: true }))) return false
    try {
      await act()
      return true
    } catch (error) {
      failed(error)
      return false
    }
  }
  const remove = async () => {
    const gone = await ask(t('deleteTitle', { name: team.name }), t('deleteTeamText'), t('delete'), () =>
      deleteTeam.mutateAsync(team.id),
    )
    if (!gone) return
    done(t('deleted', { name: team.name }))
    await navigate({ to: '/teams' })
  }
  const takeOut = async (row: TeamMember) => {
    const name = nameOf(row)
    const out = await ask(t('takeOutTitle', { name }), t('takeOutText'), t('takeOut'), () =>
      takeOutOfTeam.mutateAsync({ team: team.id, member: row.member }),
    )
    if (out) done(t('takenOut', { name }))
  }
  return (
    <Page
      title={team.name}
      documentTitle={`${team.name} · ${t('teams')}`}
      lead={team.role === null ? t('teamWithoutRole') : t('teamWithRole', { role: team.role })}
      actions={
        mayManage && (
          <>
            <Button onClick={() => setAdding(true)}>{t('addMember')}</Button>
            <Button variant="default" onClick={() => setEditing(true)}>
              {t('edit')}
            </Button>
            <Button variant="subtle" color="red" onClick={() => void remove()}>
              {t('delete')}
            </Button>
          </>
        )
      }
    >
      <Group>
        <Title order={2} size="h4">
          {t('members')}
        </Title>
      </Group>
      <DataTable
        id="team-members"
        label={t('members')}
        columns={columns}
        list={list}
        idOf={(row) => row.member}
        linkOf={(row) => ({ to: '/access/members/$memberId', params: { memberId: row.member } })}
        {...(mayManage
          ? {
              rowActions: (row: TeamMember) => (
                <Button
                  size="compact-xs"
                  variant="subtle"
                  color="red"
                  aria-label={t('takeOutOf', { name: nameOf(row) })}
                  onClick={() => void takeOut(row)}
                >
                  {t('takeOut')}
                </Button>
              ),
            }
          : {})}
        empty={<PageEmpty title={t('nobodyInTeam')} />}
      />
      <Grants of={{ team: team.id }} />
      {editing && <TeamForm team={team} onClose={() => setEditing(false)} />}
      {adding && <AddMember team={team} onClose={() => setAdding(false)} />}
    </Page>
  )
}

function AddMember({ team, onClose }: { team: Team; onClose: () => void }) {
  const { t } = useTranslation('access')
  const choices = useHolderChoices()
  const { putIntoTeam } = useAccessActs()
  const adding = useApiForm({
    initial: { member: '' },
    schema: z.object({ member: z.string().min(1, t('memberNeeded')) }),
    send: ({ member }) => putIntoTeam.mutateAsync({ team: team.id, member }),
    onDone: () => {
      done(t('added'))
      onClose()
    },
  })
  return (
    <FormDialog opened onClose={onClose} title={t('addMember')} action={t('add')} of={adding}>
      <Select
        label={t('member')}
        description={t('addHelp')}
        placeholder={t('choose')}
        searchable
        limit={50}
        nothingFoundMessage={t('noneFound')}
        data={choices.data ?? []}
        {...adding.form.getInputProps('member')}
      />
    </FormDialog>
  )
}
