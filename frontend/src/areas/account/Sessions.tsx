/** Where one is logged in, and the way out there. */
import { Button } from '@mantine/core'
import { IconLogout } from '@tabler/icons-react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import {
  browserOf,
  useEndOtherSessions,
  useEndSession,
  useSessions,
  type UserSession,
} from '../../api/account'
import { act } from '../../ui/act'
import { dateTime, exactly, when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'

export function Sessions() {
  const { t } = useTranslation('account')
  const sessions = useSessions()
  const end = useEndSession()
  const endOthers = useEndOtherSessions()
  const columns = useMemo(
    (): Column<UserSession>[] => [
      {
        id: 'where',
        header: t('where'),
        value: (session) => browserOf(session.agent),
        cell: (session) => (
          <span title={session.agent}>
            {browserOf(session.agent) || t('unknown')}{' '}
            {session.current && <Tag tone="accent">{t('this')}</Tag>}
          </span>
        ),
        primary: true,
      },
      { id: 'address', header: t('address'), value: (session) => session.address, width: 180 },
      {
        id: 'seen',
        header: t('seen'),
        value: (session) => session.seen_at,
        cell: (session) => <time title={exactly(session.seen_at)}>{when(session.seen_at)}</time>,
        width: 150,
      },
      {
        id: 'created',
        header: t('loggedIn'),
        value: (session) => session.created_at,
        cell: (session) => dateTime(session.created_at),
        width: 190,
      },
    ],
    [t],
  )
  const others = sessions.data?.filter((session) => !session.current).length ?? 0
  const logOutOthers = async () => {
    await act(
      {
        title: t('othersTitle', { count: others }),
        consequence: t('othersText'),
        action: t('others'),
        danger: true,
      },
      () => endOthers.mutateAsync(),
      t('othersDone', { count: others }),
    )
  }
  return (
    <DataTable
      id="sessions"
      label={t('sessions')}
      columns={columns}
      list={{ rows: sessions.data, error: sessions.error, refetch: sessions.refetch }}
      idOf={(session) => session.id}
      tools={
        others > 0 && (
          <Button
            variant="default"
            size="xs"
            leftSection={<IconLogout size={14} />}
            onClick={() => void logOutOthers()}
          >
            {t('others')}
          </Button>
        )
      }
      rowActions={(session) =>
        !session.current && (
          <Button
            size="compact-xs"
            variant="subtle"
            color="red"
            aria-label={t('endThat', { where: browserOf(session.agent) })}
            onClick={() => {
              end.mutate(session.id, {
                onSuccess: () => {
                  done(t('endDone'))
                },
                onError: failed,
              })
            }}
          >
            {t('end')}
          </Button>
        )
      }
      empty={<PageEmpty title={t('noSession')} />}
    />
  )
}
