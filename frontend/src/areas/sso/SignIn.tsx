/** What the organisation asks of its members besides a password, and whether a passkey alone will do. */
import { NumberInput, Switch } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useChangeSignInPolicy, useSignInPolicy } from '../../api/factors'
import { Card } from '../../ui/Card'
import { confirmed } from '../../ui/confirm'
import { dateTime } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import { done, failed } from '../../ui/toast'
import classes from './Sso.module.css'

export function SignIn({ mayManage }: { mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const change = useChangeSignInPolicy()
  const [days, setDays] = useState(14)
  const saved = {
    onSuccess: () => {
      done(t('factorSaved'))
    },
    onError: failed,
  }
  const require = async (required: boolean) => {
    const yes =
      !required ||
      (await confirmed({
        title: t('factorTitle'),
        consequence: t('factorText', { count: days }),
        action: t('require'),
        danger: days === 0,
      }))
    if (yes) change.mutate({ factor_required: required, days_to_enrol: days }, saved)
  }
  return (
    <Card title={t('signIn')}>
      <Loaded query={useSignInPolicy()}>
        {(policy) => (
          <div className={classes.stack}>
            <Switch
              label={t('factorLabel')}
              description={
                policy.factor_required_at === null
                  ? t('factorDescription')
                  : t('factorSince', { time: dateTime(policy.factor_required_at) })
              }
              checked={policy.factor_required_at !== null}
              disabled={!mayManage || change.isPending}
              onChange={(event) => void require(event.currentTarget.checked)}
            />
            {mayManage && policy.factor_required_at === null && (
              <NumberInput
                label={t('factorDays')}
                min={0}
                max={365}
                maw={240}
                value={days}
                onChange={(value) => {
                  setDays(Number(value))
                }}
              />
            )}
            <Switch
              label={t('passkeyLabel')}
              description={t('passkeyDescription')}
              checked={policy.takes_passkeys}
              disabled={!mayManage || change.isPending}
              onChange={(event) => {
                change.mutate({ takes_passkeys: event.currentTarget.checked }, saved)
              }}
            />
          </div>
        )}
      </Loaded>
    </Card>
  )
}
