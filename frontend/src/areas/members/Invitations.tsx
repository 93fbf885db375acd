/** Invitations in whatever state; those that are open can be revoked. */
import { Button, Title } from '@mantine/core'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useInvitations, useMemberActs, type Invitation } from '../../api/members'
import { act } from '../../ui/act'
import { exactly, when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import { Tag, type Tone } from '../../ui/Tag'

type InvitationState = 'open' | 'accepted' | 'revoked' | 'expired'
const TONE: Record<InvitationState, Tone> = {
  open: 'accent',
  accepted: 'ok',
  revoked: 'plain',
  expired: 'plain',
}
const stateOf = (row: Invitation): InvitationState => row.state as InvitationState

export function Invitations({ nameOf }: { nameOf: (role: string) => string }) {
  const { t } = useTranslation('members')
  const list = useInvitations(true)
  const { revoke } = useMemberActs()
  const columns = useMemo(
    (): Column<Invitation>[] => [
      { id: 'email', header: t('email'), value: (row) => row.email, primary: true },
      { id: 'role', header: t('role'), value: (row) => nameOf(row.role), width: 150 },
      {
        id: 'state',
        header: t('state'),
        value: stateOf,
        cell: (row) => <Tag tone={TONE[stateOf(row)]}>{t(stateOf(row))}</Tag>,
        width: 120,
      },
      { id: 'by', header: t('invitedBy'), value: (row) => row.invited_by_name, width: 200 },
      {
        id: 'expires',
        header: t('expires'),
        value: (row) => row.expires_at,
        cell: (row) => <time title={exactly(row.expires_at)}>{when(row.expires_at)}</time>,
        width: 150,
      },
    ],
    [t, nameOf],
  )
  const view = useTableState({ prefix: 'i' })
  const end = async (row: Invitation) => {
    await act(
      {
        title: t('revokeTitle', { email: row.email }),
        consequence: t('revokeText'),
        action: t('revoke'),
        danger: true,
      },
      () => revoke.mutateAsync(row.id),
      t('revokedDone', { email: row.email }),
    )
  }
  if (list.rows?.length === 0) return null
  return (
    <>
      <Title order={2} size="h4">
        {t('invitations')}
      </Title>
      <DataTable
        id="invitations"
        label={t('invitations')}
        columns={columns}
        list={list}
        view={view}
        idOf={(row) => row.id}
        rowActions={(row) =>
          stateOf(row) === 'open' && (
            <Button
              size="compact-xs"
              variant="subtle"
              color="red"
              aria-label={t('revokeOf', { email: row.email })}
              onClick={() => void end(row)}
            >
              {t('revoke')}
            </Button>
          )
        }
        empty={<PageEmpty title={t('noInvitation')} />}
      />
    </>
  )
}
