/** Whether members must come by an identity provider, and whose password is taken all the same. */
import { Button, Select, Switch } from '@mantine/core'
import { IconTrash } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useBreakGlass,
  useEnforce,
  useMarkAccount,
  useMemberChoices,
  useSsoPolicy,
  useUnmarkAccount,
  type BreakGlass,
} from '../../api/sso'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { confirmed } from '../../ui/confirm'
import { when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { done, failed } from '../../ui/toast'
import classes from './Sso.module.css'

export function Enforcement({ mayManage }: { mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const policy = useSsoPolicy().data
  const enforce = useEnforce()
  const accounts = useBreakGlass()
  const members = useMemberChoices().data ?? []
  const mark = useMarkAccount()
  const unmark = useUnmarkAccount()
  const [member, setMember] = useState<string | null>(null)
  const columns = useMemo(
    (): Column<BreakGlass>[] => [
      { id: 'email', header: t('account'), value: (each) => each.email, primary: true },
      { id: 'since', header: t('since'), value: (each) => each.created_at, cell: (each) => when(each.created_at), width: 180 },
    ],
    [t],
  ) // prettier-ignore
  const set = async (enforced: boolean) => {
    const yes =
      !enforced ||
      (await confirmed({
        title: t('requireTitle'),
        consequence: t('requireText'),
        action: t('require'),
        danger: true,
      }))
    if (!yes) return
    enforce.mutate(enforced, {
      onSuccess: () => {
        done(t(enforced ? 'required' : 'notRequired'))
      },
      onError: failed,
    })
  }
  return (
    <Card title={t('requirement')}>
      <div className={classes.stack}>
        <Switch
          label={t('requireLabel')}
          description={t('requireDescription')}
          checked={policy?.enforced ?? false}
          disabled={!mayManage || policy === undefined || enforce.isPending}
          onChange={(event) => void set(event.currentTarget.checked)}
        />
        {policy !== undefined && <Command label={t('address')} text={policy.log_in_url} wrap />}
        <p className={classes.text}>{t('breakGlassText')}</p>
        {mayManage && (
          <div className={classes.buttons}>
            <Select
              aria-label={t('member')}
              placeholder={t('member')}
              searchable
              data={members.map((each) => ({ value: each.id, label: each.email }))}
              value={member}
              onChange={setMember}
            />
            <Button
              variant="default"
              disabled={member === null}
              loading={mark.isPending}
              onClick={() => {
                if (member === null) return
                mark.mutate(member, {
                  onSuccess: () => {
                    setMember(null)
                  },
                  onError: failed,
                })
              }}
            >
              {t('markBreakGlass')}
            </Button>
          </div>
        )}
        <DataTable<BreakGlass>
          id="sso-break-glass"
          label={t('breakGlass')}
          columns={columns}
          list={accounts}
          idOf={(each) => each.id}
          empty={<PageEmpty title={t('noBreakGlass')} />}
          {...(mayManage
            ? {
                acts: [
                  {
                    label: t('remove'),
                    icon: IconTrash,
                    run: (some) => {
                      for (const each of some) unmark.mutate(each.id, { onError: failed })
                    },
                  },
                ],
              }
            : {})}
        />
      </div>
    </Card>
  )
}
