/** Who belongs to the tenant, with which role, and who is invited. */
import { Button } from '@mantine/core'
import { IconUserPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMemberActs, useMembers, useRoleChoices, type Member } from '../../api/members'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { confirmed } from '../../ui/confirm'
import { exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag, type Tone } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import { ChangeRole } from './ChangeRole'
import { Invitations } from './Invitations'
import { InviteDialog } from './InviteDialog'

const TONE: Record<NonNullable<Member['state']>, Tone> = {
  active: 'ok',
  invited: 'accent',
  suspended: 'warn',
}
/** Ways to log in that there are words for; another one is shown as it is. */
const METHODS = ['password', 'passkey', 'oidc', 'saml', 'ldap'] as const

export function MembersPage() {
  const { t } = useTranslation('members')
  const mayManage = useMay('member.manage')
  const list = useMembers()
  const roles = useRoleChoices()
  const { change, remove } = useMemberActs()
  const [inviting, setInviting] = useState(false)
  const [changing, setChanging] = useState<Member | null>(null)
  const nameOf = useMemo(() => {
    const names = new Map(roles.data?.map((role) => [role.value, role.label]))
    return (slug: string) => names.get(slug) ?? slug
  }, [roles.data])
  const columns = useMemo(
    (): Column<Member>[] => [
      { id: 'email', header: t('email'), value: (row) => row.email, primary: true },
      { id: 'name', header: t('name'), value: (row) => row.name, width: 150 },
      { id: 'role', header: t('role'), value: (row) => nameOf(row.role), width: 130 },
      {
        id: 'state',
        header: t('state'),
        value: (row) => row.state,
        cell: (row) => <Tag tone={TONE[row.state]}>{t(row.state)}</Tag>,
        width: 100,
      },
      {
        id: 'lastLogIn',
        header: t('lastLogIn'),
        value: (row) => row.last_log_in_at,
        cell: (row) =>
          row.last_log_in_at == null ? (
            t('never')
          ) : (
            <time title={exactly(row.last_log_in_at)}>{when(row.last_log_in_at)}</time>
          ),
        width: 150,
      },
      {
        id: 'method',
        header: t('method'),
        value: (row) => {
          const known = METHODS.find((each) => each === row.last_log_in_method)
          return known === undefined ? row.last_log_in_method : t(`by.${known}`)
        },
        width: 140,
      },
    ],
    [t, nameOf],
  )
  const suspend = async (member: Member, suspended: boolean) => {
    if (suspended) {
      const yes = await confirmed({
        title: t('suspendTitle', { email: member.email }),
        consequence: t('suspendText'),
        action: t('suspend'),
        danger: true,
      })
      if (!yes) return
    }
    try {
      await change.mutateAsync({ id: member.id, state: suspended ? 'suspended' : 'active' })
      done(
        suspended ? t('suspendedDone', { email: member.email }) : t('resumedDone', { email: member.email }),
        {
          ...(suspended ? { undo: { label: t('undo'), run: () => void suspend(member, false) } } : {}),
        },
      )
    } catch (error) {
      failed(error)
    }
  }
  const end = async (member: Member) => {
    await act(
      {
        title: t('removeTitle', { email: member.email }),
        consequence: t('removeText'),
        action: t('remove'),
        danger: true,
      },
      () => remove.mutateAsync(member.id),
      t('removedDone', { email: member.email }),
    )
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button leftSection={<IconUserPlus size={16} />} onClick={() => setInviting(true)}>
            {t('invite')}
          </Button>
        )
      }
    >
      <DataTable
        id="members"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/access/members/$memberId', params: { memberId: row.id } })}
        {...(mayManage
          ? {
              rowActionsWidth: 240,
              rowActions: (row: Member) => (
                <>
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    aria-label={t('changeRoleOf', { email: row.email })}
                    onClick={() => setChanging(row)}
                  >
                    {t('changeRole')}
                  </Button>
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    aria-label={t(row.state === 'suspended' ? 'resumeOf' : 'suspendOf', { email: row.email })}
                    onClick={() => void suspend(row, row.state !== 'suspended')}
                  >
                    {row.state === 'suspended' ? t('resume') : t('suspend')}
                  </Button>
                  <Button
                    size="compact-xs"
                    variant="subtle"
                    color="red"
                    aria-label={t('removeOf', { email: row.email })}
                    onClick={() => void end(row)}
                  >
                    {t('remove')}
                  </Button>
                </>
              ),
            }
          : {})}
        empty={<PageEmpty title={t('none')} />}
      />
      {mayManage && <Invitations nameOf={nameOf} />}
      {inviting && <InviteDialog roles={roles.data ?? []} onClose={() => setInviting(false)} />}
      {changing !== null && (
        <ChangeRole member={changing} roles={roles.data ?? []} onClose={() => setChanging(null)} />
      )}
    </Page>
  )
}
