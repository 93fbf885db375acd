/** Which roles a provider's people get: rules in their order, a default, and a dry run of what is written but not saved. */
import { ActionIcon, Button, Select, TextInput } from '@mantine/core'
import { IconPlus, IconTrash } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useChangeProvider,
  useDryRun,
  useRoleSlugs,
  type DryRun,
  type Provider,
  type RoleRule,
} from '../../api/sso'
import { Card } from '../../ui/Card'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { done, failed } from '../../ui/toast'
import classes from './Sso.module.css'

type Change = DryRun['changes'][number]

export function RoleRules({ provider, mayManage }: { provider: Provider; mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const roles = useRoleSlugs().data ?? []
  const change = useChangeProvider(provider.id)
  const dry = useDryRun(provider.id)
  const [rules, setRules] = useState<RoleRule[]>(provider.rules as unknown as RoleRule[])
  const [defaultRole, setDefaultRole] = useState<string | null>(provider.default_role)
  const set = (place: number, part: Partial<RoleRule>) => {
    setRules(rules.map((each, index) => (index === place ? { ...each, ...part } : each)))
  }
  const whole = rules.every((each) => each.claim !== '' && each.pattern !== '' && each.role !== '')
  return (
    <div className={classes.stack}>
      <Card title={t('rules')}>
        <div className={classes.stack}>
          <p className={classes.text}>{t('rulesText')}</p>
          {rules.map((rule, place) => (
            <div
              key={place}
              className={classes.rule}
              role="group"
              aria-label={t('rule', { number: place + 1 })}
            >
              <TextInput
                label={t('claim')}
                placeholder={t('claimExample')}
                maxLength={100}
                disabled={!mayManage}
                value={rule.claim}
                onChange={(event) => {
                  set(place, { claim: event.currentTarget.value })
                }}
              />
              <TextInput
                label={t('pattern')}
                placeholder={t('patternExample')}
                maxLength={255}
                disabled={!mayManage}
                value={rule.pattern}
                onChange={(event) => {
                  set(place, { pattern: event.currentTarget.value })
                }}
              />
              <Select
                label={t('role')}
                data={roles}
                disabled={!mayManage}
                value={rule.role === '' ? null : rule.role}
                onChange={(value) => {
                  set(place, { role: value ?? '' })
                }}
              />
              {mayManage && (
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  size={36}
                  aria-label={t('removeRule', { number: place + 1 })}
                  onClick={() => {
                    setRules(rules.filter((_, index) => index !== place))
                  }}
                >
                  <IconTrash size={18} />
                </ActionIcon>
              )}
            </div>
          ))}
          {mayManage && (
            <div className={classes.buttons}>
              <Button
                variant="default"
                leftSection={<IconPlus size={16} />}
                onClick={() => {
                  setRules([...rules, { claim: rules.at(-1)?.claim ?? 'groups', pattern: '', role: '' }])
                }}
              >
                {t('addRule')}
              </Button>
            </div>
          )}
          <Select
            label={t('defaultRole')}
            description={t('defaultRoleText')}
            data={roles}
            clearable
            clearButtonProps={{ 'aria-label': t('clear') }}
            placeholder={t('noRole')}
            disabled={!mayManage}
            value={defaultRole}
            onChange={setDefaultRole}
          />
          <div className={classes.buttons}>
            <Button
              variant="default"
              loading={dry.isPending}
              disabled={!whole}
              onClick={() => {
                dry.mutate({ rules, default_role: defaultRole }, { onError: failed })
              }}
            >
              {t('dryRun')}
            </Button>
            {mayManage && (
              <Button
                loading={change.isPending}
                disabled={!whole}
                onClick={() => {
                  change.mutate(
                    { rules, default_role: defaultRole },
                    {
                      onSuccess: () => {
                        done(t('saved'))
                      },
                      onError: failed,
                    },
                  )
                }}
              >
                {t('save')}
              </Button>
            )}
          </div>
        </div>
      </Card>
      {dry.data !== undefined && <Outcome found={dry.data} />}
    </div>
  )
}

function Outcome({ found }: { found: DryRun }) {
  const { t } = useTranslation('sso')
  const columns = useMemo(
    (): Column<Change>[] => [
      { id: 'email', header: t('person'), value: (each) => each.email, primary: true },
      { id: 'now', header: t('roleNow'), value: (each) => (each.role_now === '' ? t('refused') : each.role_now), width: 160 },
      { id: 'then', header: t('roleThen'), value: (each) => (each.role_then === '' ? t('refused') : each.role_then), width: 160 },
      {
        id: 'rule',
        header: t('because'),
        value: (each) =>
          each.kept_here ? t('keptHere') : each.rule === null ? t('byDefault') : t('rule', { number: each.rule + 1 }),
      },
    ],
    [t],
  ) // prettier-ignore
  return (
    <Card title={t('dryRunTitle')}>
      <div className={classes.stack}>
        <p className={classes.text} role="status">
          {t('dryRunText', { known: found.known, changed: found.changed })}
        </p>
        <DataTable
          id="sso-dry-run"
          label={t('dryRunTitle')}
          columns={columns}
          list={{
            rows: found.changes,
            error: null,
            refetch: () => undefined,
            more: undefined,
            loadingMore: false,
          }}
          idOf={(each) => each.user}
          empty={<PageEmpty title={t('noChange')} />}
        />
      </div>
    </Card>
  )
}
