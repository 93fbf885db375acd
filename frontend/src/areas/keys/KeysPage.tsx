/** API keys: list, create with a secret shown once, revoke. */
import { Alert, Button, Loader, Table } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useKeys, useRevokeKey, type Key } from '../../api/keys'
import { sessionQuery } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { CreateKey } from './CreateKey'
import { ChangeReach } from './ChangeReach'
import { RotateKey } from './RotateKey'
import { Dialog } from '../../ui/Dialog'
import { dateTime } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import { useDocumentTitle } from '../../ui/Page'
import { Tag } from '../../ui/Tag'
import tables from '../requests/RequestTable.module.css'
import { limitsOf } from './limits'
import classes from './KeysPage.module.css'

export function KeysPage() {
  const { t } = useTranslation(['keys', 'common'])
  const keys = useKeys()
  const permissions = useQuery(sessionQuery).data?.permissions ?? []
  const mayManage = permissions.includes('key.manage')
  const [creating, setCreating] = useState(false)
  const [reaching, setReaching] = useState<Key | null>(null)
  const [rotating, setRotating] = useState<Key | null>(null)
  const [revoking, setRevoking] = useState<Key | null>(null)
  useDocumentTitle(t('title'))
  const list = keys.data?.pages.flatMap((page) => page.results) ?? []
  return (
    <>
      <div className={classes.head}>
        <div>
          <h1 className={classes.title}>{t('title')}</h1>
          <p className={classes.text}>{t('lead')}</p>
        </div>
        {mayManage && (
          <Button
            leftSection={<Icon name="plus" size={16} />}
            onClick={() => {
              setCreating(true)
            }}
          >
            {t('create')}
          </Button>
        )}
      </div>
      <Card title={t('keys')} flush>
        {keys.isPending && (
          <div className={classes.waiting} aria-busy="true">
            <Loader size="sm" aria-hidden="true" />
          </div>
        )}
        {keys.error !== null && (
          <div className={classes.inset}>
            <Alert color="red" variant="light" icon={<Icon name="alert" />}>
              {sentence(keys.error)}
            </Alert>
          </div>
        )}
        {keys.isSuccess && list.length === 0 && (
          <Empty title={t('none')}>
            <p>{t('noneText')}</p>
          </Empty>
        )}
        {list.length > 0 && (
          <div className={tables.scroll} tabIndex={0} role="region" aria-label={t('table')}>
            <Table className={tables.table} verticalSpacing={9} horizontalSpacing={10}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t('name')}</Table.Th>
                  <Table.Th>{t('key')}</Table.Th>
                  <Table.Th>{t('created')}</Table.Th>
                  <Table.Th>{t('lastUsed')}</Table.Th>
                  <Table.Th>{t('expires')}</Table.Th>
                  <Table.Th>{t('limits')}</Table.Th>
                  <Table.Th>{t('state')}</Table.Th>
                  <Table.Th>
                    <span className="sr-only">{t('common:table.actions')}</span>
                  </Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {list.map((key) => (
                  <KeyRow
                    key={key.id}
                    apiKey={key}
                    onRotate={setRotating}
                    onReach={setReaching}
                    onRevoke={mayManage ? setRevoking : null}
                  />
                ))}
              </Table.Tbody>
            </Table>
          </div>
        )}
        {keys.hasNextPage && (
          <div className={tables.more}>
            <Button
              variant="subtle"
              size="compact-sm"
              loading={keys.isFetchingNextPage}
              onClick={() => void keys.fetchNextPage()}
            >
              {t('common:action.more')}
            </Button>
          </div>
        )}
      </Card>
      <CreateKey
        opened={creating}
        mayGiveHigh={permissions.includes('member.manage')}
        onClose={() => {
          setCreating(false)
        }}
      />
      {reaching !== null && (
        <ChangeReach
          key={reaching.id}
          apiKey={reaching}
          onClose={() => {
            setReaching(null)
          }}
        />
      )}
      <RotateKey
        apiKey={rotating}
        onClose={() => {
          setRotating(null)
        }}
      />
      <RevokeKey
        apiKey={revoking}
        onClose={() => {
          setRevoking(null)
        }}
      />
    </>
  )
}

interface KeyRowProps {
  apiKey: Key
  onRotate: (key: Key) => void
  onReach: (key: Key) => void
  /** `null` for who may change no key. */
  onRevoke: ((key: Key) => void) | null
}

function KeyRow({ apiKey, onRotate, onReach, onRevoke }: KeyRowProps) {
  const { t } = useTranslation('keys')
  const state = stateOf(apiKey)
  return (
    <Table.Tr>
      <Table.Td data-label={t('name')} className={tables.strong}>
        {apiKey.name}
      </Table.Td>
      <Table.Td data-label={t('key')} className={`${tables.mono ?? ''} ${tables.wide ?? ''}`}>
        {apiKey.has_secret ? `omx_${apiKey.identifier}…` : t('ofWorkload')}
      </Table.Td>
      <Table.Td data-label={t('created')} className={tables.wide}>
        {dateTime(apiKey.created_at)}
        {apiKey.created_by_name !== '' && (
          <span className={classes.by} title={apiKey.created_by_name}>
            {t('by', { name: apiKey.created_by_name })}
          </span>
        )}
      </Table.Td>
      <Table.Td data-label={t('lastUsed')} className={tables.wide}>
        {apiKey.last_used_at === null ? t('never') : dateTime(apiKey.last_used_at)}
      </Table.Td>
      <Table.Td data-label={t('expires')} className={tables.wide}>
        {apiKey.expires_at === null ? t('never') : dateTime(apiKey.expires_at)}
      </Table.Td>
      <Table.Td data-label={t('limits')} className={`${tables.wide ?? ''} ${classes.limits ?? ''}`}>
        {limitsOf(apiKey, t)}
      </Table.Td>
      <Table.Td data-label={t('state')}>
        <Tag tone={state === 'active' ? 'ok' : 'plain'}>{t(`is.${state}`)}</Tag>
      </Table.Td>
      <Table.Td className={classes.actions}>
        {state === 'active' && onRevoke !== null && (
          <Button
            variant="subtle"
            size="compact-sm"
            aria-label={t('reach.of', { name: apiKey.name })}
            onClick={() => {
              onReach(apiKey)
            }}
          >
            {t('reach.change')}
          </Button>
        )}
        {state === 'active' && apiKey.has_secret && onRevoke !== null && (
          <Button
            variant="subtle"
            size="compact-sm"
            aria-label={t('rotateOf', { name: apiKey.name })}
            onClick={() => {
              onRotate(apiKey)
            }}
          >
            {t('rotate')}
          </Button>
        )}
        {apiKey.revoked_at === null && onRevoke !== null && (
          <Button
            variant="subtle"
            color="red"
            size="compact-sm"
            className={classes.revoke}
            aria-label={t('revokeOf', { name: apiKey.name })}
            onClick={() => {
              onRevoke(apiKey)
            }}
          >
            {t('revoke')}
          </Button>
        )}
      </Table.Td>
    </Table.Tr>
  )
}

function stateOf(key: Key): 'active' | 'expired' | 'revoked' {
  if (key.revoked_at !== null) return 'revoked'
  return key.expires_at !== null && new Date(key.expires_at) <= new Date() ? 'expired' : 'active'
}

function RevokeKey({ apiKey, onClose }: { apiKey: Key | null; onClose: () => void }) {
  const { t } = useTranslation(['keys', 'common'])
  const revoke = useRevokeKey()
  const close = () => {
    onClose()
    revoke.reset()
  }
  return (
    <Dialog opened={apiKey !== null} onClose={close} title={t('revokeTitle', { name: apiKey?.name ?? '' })}>
      <div className={classes.form}>
        {revoke.error !== null && (
          <Alert color="red" variant="light" icon={<Icon name="alert" />}>
            {sentence(revoke.error)}
          </Alert>
        )}
        <p className={classes.text}>{t('revokeText')}</p>
        <div className={classes.buttons}>
          <Button variant="default" onClick={close} data-autofocus>
            {t('common:action.cancel')}
          </Button>
          <Button
            color="red"
            loading={revoke.isPending}
            onClick={() => {
              if (apiKey !== null) revoke.mutate(apiKey.id, { onSuccess: close })
            }}
          >
            {t('revoke')}
          </Button>
        </div>
      </div>
    </Dialog>
  )
}
