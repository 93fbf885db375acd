/** API keys: list, create with a secret shown once, revoke. */
import { Alert, Button, Loader, Table } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { sentence } from '../../api/client'
import { useKeys, useRevokeKey, type Key } from '../../api/keys'
import { sessionQuery } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { CreateKey } from './CreateKey'
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
  const keys = useKeys()
  const permissions = useQuery(sessionQuery).data?.permissions ?? []
  const mayManage = permissions.includes('key.manage')
  const [creating, setCreating] = useState(false)
  const [rotating, setRotating] = useState<Key | null>(null)
  const [revoking, setRevoking] = useState<Key | null>(null)
  useDocumentTitle('API keys')
  const list = keys.data?.pages.flatMap((page) => page.results) ?? []
  return (
    <>
      <div className={classes.head}>
        <div>
          <h1 className={classes.title}>API keys</h1>
          <p className={classes.text}>
            A program uses a key as its bearer token, with the OpenAI and the Ollama API.
          </p>
        </div>
        {mayManage && (
          <Button
            leftSection={<Icon name="plus" size={16} />}
            onClick={() => {
              setCreating(true)
            }}
          >
            Create a key
          </Button>
        )}
      </div>
      <Card title="Keys" flush>
        {keys.isPending && (
          <div className={classes.waiting}>
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
          <Empty title="No key yet">
            <p>Create one to send requests.</p>
          </Empty>
        )}
        {list.length > 0 && (
          <div className={tables.scroll} tabIndex={0} role="region" aria-label="Table of the API keys">
            <Table className={tables.table} verticalSpacing={9} horizontalSpacing={14}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Name</Table.Th>
                  <Table.Th>Key</Table.Th>
                  <Table.Th>Created</Table.Th>
                  <Table.Th>Last used</Table.Th>
                  <Table.Th>Expires</Table.Th>
                  <Table.Th>Limits</Table.Th>
                  <Table.Th>State</Table.Th>
                  <Table.Th>
                    <span className="sr-only">Actions</span>
                  </Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {list.map((key) => (
                  <KeyRow
                    key={key.id}
                    apiKey={key}
                    onRotate={setRotating}
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
              Show more
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
  /** `null` for who may change no key. */
  onRevoke: ((key: Key) => void) | null
}

function KeyRow({ apiKey, onRotate, onRevoke }: KeyRowProps) {
  const state = stateOf(apiKey)
  return (
    <Table.Tr>
      <Table.Td data-label="Name" className={tables.strong}>
        {apiKey.name}
      </Table.Td>
      <Table.Td data-label="Key" className={`${tables.mono ?? ''} ${tables.wide ?? ''}`}>
        omx_{apiKey.identifier}…
      </Table.Td>
      <Table.Td data-label="Created" className={tables.wide}>
        {dateTime(apiKey.created_at)}
        {apiKey.created_by_name !== '' && <span className={classes.by}>by {apiKey.created_by_name}</span>}
      </Table.Td>
      <Table.Td data-label="Last used" className={tables.wide}>
        {apiKey.last_used_at === null ? 'Never' : dateTime(apiKey.last_used_at)}
      </Table.Td>
      <Table.Td data-label="Expires" className={tables.wide}>
        {apiKey.expires_at === null ? 'Never' : dateTime(apiKey.expires_at)}
      </Table.Td>
      <Table.Td data-label="Limits" className={tables.wide}>
        {limitsOf(apiKey)}
      </Table.Td>
      <Table.Td data-label="State">
        <Tag tone={state === 'active' ? 'ok' : 'plain'}>{state}</Tag>
      </Table.Td>
      <Table.Td className={classes.actions}>
        {state === 'active' && onRevoke !== null && (
          <Button
            variant="subtle"
            size="compact-sm"
            aria-label={`Rotate ${apiKey.name}`}
            onClick={() => {
              onRotate(apiKey)
            }}
          >
            Rotate
          </Button>
        )}
        {apiKey.revoked_at === null && onRevoke !== null && (
          <Button
            variant="subtle"
            color="red"
            size="compact-sm"
            className={classes.revoke}
            aria-label={`Revoke ${apiKey.name}`}
            onClick={() => {
              onRevoke(apiKey)
            }}
          >
            Revoke
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
  const revoke = useRevokeKey()
  const close = () => {
    onClose()
    revoke.reset()
  }
  return (
    <Dialog opened={apiKey !== null} onClose={close} title={`Revoke ${apiKey?.name ?? ''}?`}>
      <div className={classes.form}>
        {revoke.error !== null && (
          <Alert color="red" variant="light" icon={<Icon name="alert" />}>
            {sentence(revoke.error)}
          </Alert>
        )}
        <p className={classes.text}>
          Programs that use it are refused within a second. A revoked key cannot be brought back.
        </p>
        <div className={classes.buttons}>
          <Button variant="default" onClick={close} data-autofocus>
            Cancel
          </Button>
          <Button
            color="red"
            loading={revoke.isPending}
            onClick={() => {
              if (apiKey !== null) revoke.mutate(apiKey.id, { onSuccess: close })
            }}
          >
            Revoke
          </Button>
        </div>
      </div>
    </Dialog>
  )
}
