/** API keys: found by name, made with a secret that is shown once, bound, rotated and revoked. */
import { Button, Group, Menu } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useKeys, useRevokeKey, type Key, type KeysAsked } from '../../api/keys'
import { orderingOf } from '../../api/pages'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { exactly, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import { Choice } from '../../ui/table/Choice'
import { hiddenOf, type Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { RowMenu } from '../../ui/table/RowMenu'
import { useTableState } from '../../ui/table/useTableState'
import { Tag } from '../../ui/Tag'
import { useNow } from '../../ui/useNow'
import { ChangeReach } from './ChangeReach'
import { CreateKey } from './CreateKey'
import classes from './KeysPage.module.css'
import { limitsInShort, limitsOf } from './limits'
import { RotateKey } from './RotateKey'

const PRIORITIES = ['high', 'normal', 'low'] as const

export function KeysPage() {
  const { t } = useTranslation('keys')
  const mayManage = useMay('key.manage')
  const mayGiveHigh = useMay('member.manage')
  const revoke = useRevokeKey()
  const now = useNow()
  const [creating, setCreating] = useState(false)
  const [reaching, setReaching] = useState<Key | null>(null)
  const [rotating, setRotating] = useState<Key | null>(null)
  const columns = useMemo((): Column<Key>[] => {
    const time = (value: string | null) =>
      value === null ? t('never') : <time title={exactly(value)}>{when(value)}</time>
    return [
      { id: 'name', header: t('name'), value: (key) => key.name, primary: true, orderBy: 'name' },
      {
        id: 'key',
        header: t('key'),
        value: (key) => partOf(key) ?? t('ofWorkload'),
        cell: (key) => {
          const text = partOf(key) ?? t('ofWorkload')
          return (
            <span className={key.has_secret ? classes.identifier : undefined} title={text}>
              {text}
            </span>
          )
        },
        width: 195,
      },
      { id: 'created', header: t('created'), value: (key) => key.created_at, cell: (key) => time(key.created_at), orderBy: 'created_at', width: 130, hidden: true },
      { id: 'maker', header: t('maker'), value: (key) => key.created_by_name, width: 200, hidden: true },
      { id: 'lastUsed', header: t('lastUsed'), value: (key) => key.last_used_at, cell: (key) => time(key.last_used_at), width: 130 },
      { id: 'expires', header: t('expires'), value: (key) => key.expires_at, cell: (key) => time(key.expires_at), width: 130 },
      {
        id: 'limits',
        header: t('limits'),
        value: (key) => limitsOf(key, t),
        cell: (key) => <span title={limitsOf(key, t)}>{limitsInShort(key, t)}</span>,
        width: 170,
      },
      {
        id: 'state',
        header: t('state'),
        value: (key) => t(`is.${stateOf(key, now)}`),
        cell: (key) => {
          const state = stateOf(key, now)
          return <Tag tone={state === 'active' ? 'ok' : 'plain'}>{t(`is.${state}`)}</Tag>
        },
        width: 115,
      },
    ]
  }, [t, now]) // prettier-ignore
  const view = useTableState({ sort: { id: 'created', desc: true }, hidden: hiddenOf(columns) })
  const { text, sort, filters } = view.state
  const revoked = filters.revoked?.[0]
  const priority = PRIORITIES.find((each) => each === filters.priority?.[0])
  const list = useKeys({
    ordering: (orderingOf(sort, columns) ?? '-created_at') as NonNullable<KeysAsked['ordering']>,
    ...(text === '' ? {} : { name: text }),
    ...(priority === undefined ? {} : { priority }),
    ...(revoked === undefined ? {} : { revoked: revoked === 'yes' }),
  })
  const end = (key: Key) =>
    act(
      {
        title: t('revokeTitle', { name: key.name }),
        consequence: t('revokeText'),
        action: t('revoke'),
        danger: true,
      },
      () => revoke.mutateAsync(key.id),
      t('revokedDone', { name: key.name }),
    )
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setCreating(true)}>
            {t('create')}
          </Button>
        )
      }
    >
      <DataTable
        id="keys"
        label={t('table')}
        columns={columns}
        list={list}
        view={view}
        idOf={(key) => key.id}
        tools={
          <>
            <Choice
              view={view}
              name="revoked"
              label={t('state')}
              data={[
                ['no', t('isNotRevoked')],
                ['yes', t('is.revoked')],
              ]}
            />
            <Choice
              view={view}
              name="priority"
              label={t('priority')}
              data={PRIORITIES.map((each) => [each, t(`class.${each}`)])}
            />
          </>
        }
        {...(mayManage
          ? {
              rowActionsWidth: 215,
              rowActions: (key: Key) =>
                key.revoked_at === null && (
                  <Acts
                    of={key}
                    active={stateOf(key, now) === 'active'}
                    onReach={setReaching}
                    onRotate={setRotating}
                    onRevoke={(each) => void end(each)}
                  />
                ),
            }
          : {})}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
      <CreateKey opened={creating} mayGiveHigh={mayGiveHigh} onClose={() => setCreating(false)} />
      {reaching !== null && (
        <ChangeReach key={reaching.id} apiKey={reaching} onClose={() => setReaching(null)} />
      )}
      <RotateKey apiKey={rotating} onClose={() => setRotating(null)} />
    </Page>
  )
}

interface ActsProps {
  of: Key
  active: boolean
  onReach: (key: Key) => void
  onRotate: (key: Key) => void
  onRevoke: (key: Key) => void
}

/** To revoke one is what may be in a hurry: it is not behind the menu. */
function Acts({ of, active, onReach, onRotate, onRevoke }: ActsProps) {
  const { t } = useTranslation('keys')
  return (
    <Group gap={4} justify="flex-end" wrap="nowrap">
      <Button
        variant="subtle"
        color="red"
        size="compact-sm"
        aria-label={t('revokeOf', { name: of.name })}
        onClick={() => onRevoke(of)}
      >
        {t('revoke')}
      </Button>
      {active && (
        <RowMenu of={of.name}>
          <Menu.Item onClick={() => onReach(of)}>{t('reach.change')}</Menu.Item>
          {of.has_secret && <Menu.Item onClick={() => onRotate(of)}>{t('rotate')}</Menu.Item>}
        </RowMenu>
      )}
    </Group>
  )
}

/** `now`: Unix seconds. */
function stateOf(key: Key, now: number): 'active' | 'expired' | 'revoked' {
  if (key.revoked_at !== null) return 'revoked'
  return key.expires_at !== null && Date.parse(key.expires_at) / 1000 <= now ? 'expired' : 'active'
}

/** By what a key is known again, of which only its holder knows the rest; `null` for a workload's. */
const partOf = (key: Key): string | null => (key.has_secret ? `omx_${key.identifier}…` : null)
