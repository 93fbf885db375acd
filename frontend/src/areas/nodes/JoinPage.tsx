/** How a host becomes a node: what runs its models, the commands for it, and then a look-out until it is there. */
import { Alert, Button, Loader, NumberInput, Select, TextInput } from '@mantine/core'
import { IconCheck } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import {
  useCreateJoinToken,
  useJoinTokens,
  useNodesNamed,
  useRevokeJoinToken,
  type JoinToken,
} from '../../api/nodes'
import { Card, Empty } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { dateTime } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { useNow } from '../../ui/useNow'
import { joinCommand, NAME, type Engine } from './command'
import classes from './NodePage.module.css'

export function JoinPage() {
  const { t } = useTranslation('nodes')
  return (
    <Page title={t('join')} lead={t('joinLead')}>
      <Wizard />
      <Tokens />
    </Page>
  )
}

function Wizard() {
  const { t } = useTranslation('nodes')
  const create = useCreateJoinToken()
  const [engine, setEngine] = useState<Engine>('ollama')
  const [name, setName] = useState('')
  const [slots, setSlots] = useState<number | string>('')
  const wrong = name !== '' && !NAME.test(name)
  const made = create.data
  const engines = (['ollama', 'openai', 'llamacpp'] as const).map((value) => ({
    value,
    label: t(`engine.${value}`),
  }))
  return (
    <Card title={t('newNode')}>
      <div className={classes.form}>
        <Select
          label={t('whatRuns')}
          data={engines}
          value={engine}
          allowDeselect={false}
          onChange={(value) => {
            setEngine(value ?? 'ollama')
          }}
        />
        <div className={classes.fields}>
          <TextInput
            label={t('nodeName')}
            description={t('nodeNameText')}
            value={name}
            error={wrong ? t('nodeNameForm') : undefined}
            onChange={(event) => {
              setName(event.currentTarget.value)
            }}
          />
          <NumberInput
            label={t('slots')}
            description={t('slotsText')}
            value={slots}
            min={1}
            max={4096}
            allowDecimal={false}
            onChange={setSlots}
          />
        </div>
        {create.error !== null && (
          <Alert color="red" variant="light">
            {sentence(create.error)}
          </Alert>
        )}
        {made === undefined ? (
          <div>
            <Button
              disabled={wrong || name === ''}
              loading={create.isPending}
              onClick={() => {
                create.mutate()
              }}
            >
              {t('makeToken')}
            </Button>
          </div>
        ) : (
          <>
            <p>{t('onHost', { when: dateTime(made.expires_at) })}</p>
            <Command label={t('install')} text="pip install 'ollamamax[node]'" />
            <Command
              label={t('joinIt')}
              text={joinCommand({ origin: window.location.origin, token: made.token, engine, name, slots })}
              wrap
            />
            <Command label={t('runIt')} text="ollamamax-node run" />
            <Watching name={name} />
          </>
        )}
      </div>
    </Card>
  )
}

function Watching({ name }: { name: string }) {
  const { t } = useTranslation('nodes')
  const found = useNodesNamed(name, true).data
  if (found?.online === true) {
    return (
      <Alert color="green" variant="light" icon={<IconCheck size={18} />} role="status">
        {t('isThere', { name })}{' '}
        <Link to="/nodes/$nodeId" params={{ nodeId: found.id }}>
          {t('show')}
        </Link>
      </Alert>
    )
  }
  return (
    <p role="status" className={classes.watch}>
      <Loader size="xs" aria-hidden="true" />
      {found === undefined ? t('watching', { name }) : t('watchingRun', { name })}
    </p>
  )
}

function Tokens() {
  const { t } = useTranslation('nodes')
  const tokens = useJoinTokens()
  return (
    <Card title={t('tokens')} flush>
      <Loaded query={tokens} isEmpty={(list) => list.length === 0} empty={<Empty title={t('noTokens')} />}>
        {(list) => (
          <ul className={classes.tokens}>
            {list.slice(0, 20).map((token) => (
              <Token key={token.id} token={token} />
            ))}
          </ul>
        )}
      </Loaded>
    </Card>
  )
}

function Token({ token }: { token: JoinToken }) {
  const { t } = useTranslation('nodes')
  const revoke = useRevokeJoinToken()
  const now = useNow()
  const state =
    token.revoked_at !== null
      ? 'revoked'
      : token.uses >= token.max_uses
        ? 'used'
        : Date.parse(token.expires_at) / 1000 < now
          ? 'expired'
          : 'good'
  return (
    <li className={classes.token}>
      <code>{token.identifier}</code>
      <Tag tone={state === 'good' ? 'ok' : 'plain'}>{t(`token.${state}`)}</Tag>
      <span>
        {t('tokenUntil', { when: dateTime(token.expires_at), uses: token.uses, most: token.max_uses })}
      </span>
      {state === 'good' && (
        <Button
          size="compact-xs"
          variant="default"
          loading={revoke.isPending}
          aria-label={t('revokeToken', { name: token.identifier })}
          onClick={() => {
            revoke.mutate(token.id)
          }}
        >
          {t('revoke')}
        </Button>
      )}
    </li>
  )
}
