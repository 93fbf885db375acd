/** The directory of an identity provider: what it told by SCIM, and the tokens by which it comes. */
import { Alert, Button, TextInput } from '@mantine/core'
import { useState, type SubmitEvent } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useDirectory,
  useMakeScimToken,
  useRevokeScimToken,
  useRotateScimToken,
  type ScimToken,
} from '../../api/sso'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { act } from '../../ui/act'
import { confirmed } from '../../ui/confirm'
import { Fact, Facts } from '../../ui/Facts'
import { when } from '../../ui/format'
import { Once } from '../../ui/Once'
import { Loaded } from '../../ui/PageState'
import { failed } from '../../ui/toast'
import classes from './Sso.module.css'

const WAITS = [
  'no_address',
  'foreign_domain',
  'address_taken',
  'no_role',
  'break_glass',
  'no_room',
  'kept_out',
] as const

export function Directory({ provider, mayManage }: { provider: string; mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const query = useDirectory(provider)
  const make = useMakeScimToken(provider)
  const rotate = useRotateScimToken(provider)
  const revoke = useRevokeScimToken(provider)
  const [name, setName] = useState('')
  const [shown, setShown] = useState<string>()
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    make.mutate(name, {
      onSuccess: (made) => {
        setName('')
        setShown(made.token)
      },
      onError: failed,
    })
  }
  const replace = async (token: ScimToken) => {
    const yes = await confirmed({
      title: `${t('scim.rotate')}: ${token.name}`,
      consequence: t('scim.rotateText'),
      action: t('scim.rotate'),
    })
    if (!yes) return
    rotate.mutate(token.id, {
      onSuccess: (made) => {
        setShown(made.token)
      },
      onError: failed,
    })
  }
  const end = async (token: ScimToken) => {
    await act(
      {
        title: t('scim.revokeTitle', { name: token.name }),
        consequence: t('scim.revokeText'),
        action: t('scim.revoke'),
        danger: true,
      },
      () => revoke.mutateAsync(token.id),
      t('scim.revoked'),
    )
  }
  return (
    <Loaded query={query}>
      {(directory) => (
        <div className={classes.stack}>
          <Card title={t('scim.title')}>
            <div className={classes.stack}>
              <p className={classes.text}>{t('scim.text')}</p>
              <Command label={t('scim.url')} text={directory.url} wrap />
              <Facts>
                <Fact name={t('scim.users')}>{directory.users}</Fact>
                <Fact name={t('scim.active')}>{directory.active}</Fact>
                <Fact name={t('scim.members')}>{directory.members}</Fact>
                <Fact name={t('scim.groups')}>{directory.groups}</Fact>
                {WAITS.filter((why) => directory.without_account[why] !== undefined).map((why) => (
                  <Fact key={why} name={`${t('scim.without')}: ${t(`scim.waits.${why}`)}`}>
                    {directory.without_account[why]}
                  </Fact>
                ))}
              </Facts>
            </div>
          </Card>
          <Card title={t('scim.tokens')}>
            <div className={classes.stack}>
              <Alert>{t('scim.warn')}</Alert>
              {shown !== undefined && (
                <Once
                  label={t('scim.token')}
                  text={shown}
                  onDone={() => {
                    setShown(undefined)
                  }}
                />
              )}
              {directory.tokens.length === 0 && (
                <p className={classes.text}>
                  {t('scim.none')}. {t('scim.noneText')}
                </p>
              )}
              {directory.tokens.map((token) => (
                <Facts key={token.id}>
                  <Fact name={t('scim.name')}>{token.name}</Fact>
                  <Fact name={t('scim.made')}>
                    {when(token.created_at)}, {token.created_by_name}
                  </Fact>
                  <Fact name={t('scim.used')}>
                    {token.used_at === null ? t('scim.never') : when(token.used_at)}
                  </Fact>
                  <Fact name={t('scim.expires')}>
                    {token.expires_at === null ? t('scim.never') : when(token.expires_at)}
                  </Fact>
                  {mayManage && (
                    <Fact name={t('scim.token')}>
                      <span className={classes.buttons}>
                        <Button size="xs" variant="default" onClick={() => void replace(token)}>
                          {t('scim.rotate')}
                        </Button>
                        <Button size="xs" variant="default" onClick={() => void end(token)}>
                          {t('scim.revoke')}
                        </Button>
                      </span>
                    </Fact>
                  )}
                </Facts>
              ))}
              {mayManage && (
                <form onSubmit={submit} className={classes.buttons}>
                  <TextInput
                    aria-label={t('scim.name')}
                    placeholder={t('scim.name')}
                    value={name}
                    maxLength={100}
                    required
                    onChange={(event) => {
                      setName(event.currentTarget.value)
                    }}
                  />
                  <Button type="submit" loading={make.isPending}>
                    {t('scim.add')}
                  </Button>
                </form>
              )}
            </div>
          </Card>
        </div>
      )}
    </Loaded>
  )
}
