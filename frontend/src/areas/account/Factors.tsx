/** One's second factors: authenticator programs, passkeys and recovery codes. */
import { Alert, Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useBeginAuthenticator,
  useFactors,
  useRecoveryCodes,
  useRemoveFactor,
  type FactorKind,
  type Factors as Found,
  type NewAuthenticator,
} from '../../api/factors'
import { sessionQuery } from '../../api/session'
import { Card } from '../../ui/Card'
import { confirmed } from '../../ui/confirm'
import { dateTime, when } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import classes from './AccountPage.module.css'
import { AddAuthenticator } from './AddAuthenticator'
import { AddPasskey } from './AddPasskey'
import { RecoveryCodes } from './RecoveryCodes'

export function Factors() {
  const { t } = useTranslation('account')
  const wanted = useQuery(sessionQuery).data?.factor_wanted ?? null
  return (
    <Card title={t('factors')}>
      {wanted !== null && (
        <Alert color="yellow" variant="light" role="status" mb="md">
          {t('factorWanted', { tenant: wanted.tenant, time: dateTime(wanted.at) })}
        </Alert>
      )}
      <Loaded query={useFactors()}>{(found) => <Listed found={found} />}</Loaded>
    </Card>
  )
}

function Listed({ found }: { found: Found }) {
  const { t } = useTranslation('account')
  const begin = useBeginAuthenticator()
  const make = useRecoveryCodes()
  const remove = useRemoveFactor()
  const [begun, setBegun] = useState<NewAuthenticator | null>(null)
  const [adding, setAdding] = useState(false)
  const [codes, setCodes] = useState<readonly string[]>([])
  const rows = [
    ...found.authenticators.map((each) => ({ ...each, kind: 'authenticators' as const })),
    ...found.passkeys.map((each) => ({ ...each, kind: 'passkeys' as const })),
  ]
  const ended = (made: readonly string[]) => {
    setBegun(null)
    setAdding(false)
    setCodes(made)
    done(t('factorAdded'))
  }
  const drop = async ({ kind, id, name }: { kind: FactorKind; id: string; name: string }) => {
    const yes = await confirmed({
      title: t('removeTitle', { name: name === '' ? t(kind) : name }),
      consequence: t(rows.length === 1 ? 'removeLastText' : 'removeText'),
      action: t('remove'),
      danger: true,
    })
    if (yes) remove.mutate({ kind, id }, { onError: failed })
  }
  return (
    <div className={classes.stack}>
      <p className={classes.text}>{t(rows.length === 0 ? 'noFactor' : 'factorsText')}</p>
      {rows.length > 0 && (
        <ul aria-label={t('factors')} className={classes.list}>
          {rows.map((row) => (
            <li key={row.id} className={classes.factor}>
              <span>
                {row.name === '' ? t(row.kind) : row.name} <Tag tone="plain">{t(row.kind)}</Tag>
              </span>
              <span className={classes.text}>
                {row.used_at === null ? t('neverUsed') : t('usedAt', { when: when(row.used_at) })}
              </span>
              <Button
                variant="subtle"
                color="red"
                size="compact-sm"
                aria-label={t('removeThat', { name: row.name === '' ? t(row.kind) : row.name })}
                onClick={() => void drop(row)}
              >
                {t('remove')}
              </Button>
            </li>
          ))}
        </ul>
      )}
      <div className={classes.buttons}>
        <Button
          variant="default"
          loading={begin.isPending}
          onClick={() => {
            begin.mutate(undefined, { onSuccess: setBegun, onError: failed })
          }}
        >
          {t('addAuthenticator')}
        </Button>
        <Button
          variant="default"
          disabled={!found.passkeys_work}
          onClick={() => {
            setAdding(true)
          }}
        >
          {t('addPasskey')}
        </Button>
        {rows.length > 0 && (
          <Button
            variant="default"
            loading={make.isPending}
            onClick={() => {
              make.mutate(undefined, { onSuccess: setCodes, onError: failed })
            }}
          >
            {t('newCodes')}
          </Button>
        )}
      </div>
      {rows.length > 0 && <p className={classes.text}>{t('codesLeft', { count: found.recovery_codes })}</p>}
      {!found.passkeys_work && <p className={classes.text}>{t('passkeysNeedName')}</p>}
      {begun !== null && (
        <AddAuthenticator
          begun={begun}
          onClose={() => {
            setBegun(null)
          }}
          onCodes={ended}
        />
      )}
      {adding && (
        <AddPasskey
          onClose={() => {
            setAdding(false)
          }}
          onCodes={ended}
        />
      )}
      <RecoveryCodes
        codes={codes}
        onDone={() => {
          setCodes([])
        }}
      />
    </div>
  )
}
