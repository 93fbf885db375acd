/** Domains of e-mail addresses that are the tenant's: named, verified, removed. */
import { Button, TextInput } from '@mantine/core'
import { IconCircleCheck, IconTrash } from '@tabler/icons-react'
import { useMemo, useState, type SubmitEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { useAddDomain, useDomains, useRemoveDomain, useVerifyDomain, type EmailDomain } from '../../api/sso'
import { Card } from '../../ui/Card'
import { act, attempt } from '../../ui/act'
import { when } from '../../ui/format'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { failed } from '../../ui/toast'
import classes from './Sso.module.css'

export function Domains({ mayManage }: { mayManage: boolean }) {
  const { t } = useTranslation('sso')
  const list = useDomains()
  const add = useAddDomain()
  const verify = useVerifyDomain()
  const remove = useRemoveDomain()
  const [domain, setDomain] = useState('')
  const columns = useMemo(
    (): Column<EmailDomain>[] => [
      { id: 'domain', header: t('domain'), value: (each) => each.domain, primary: true },
      {
        id: 'state',
        header: t('state'),
        value: (each) => each.verified_at,
        cell: (each) =>
          each.verified_at === null ? (
            <Tag tone="warn">{t('unverified')}</Tag>
          ) : (
            <Tag tone="ok">{t('verified', { when: when(each.verified_at) })}</Tag>
          ),
        width: 220,
      },
      { id: 'url', header: t('proofAt'), value: (each) => (each.verified_at === null ? each.url : '') },
      { id: 'token', header: t('proof'), value: (each) => (each.verified_at === null ? each.token : '') },
    ],
    [t],
  )
  const each = (some: readonly EmailDomain[], run: (one: EmailDomain) => Promise<unknown>) => async () => {
    for (const one of some) await run(one)
  }
  const drop = async (some: readonly EmailDomain[]) => {
    const names = some.map((one) => one.domain).join(', ')
    await act(
      {
        title: t('removeDomain', { domain: names }),
        consequence: t('removeDomainText'),
        action: t('remove'),
        danger: true,
      },
      each(some, (one) => remove.mutateAsync(one.id)),
      t('domainRemoved'),
    )
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    add.mutate(domain, {
      onSuccess: () => {
        setDomain('')
      },
      onError: failed,
    })
  }
  return (
    <Card title={t('domains')}>
      <div className={classes.stack}>
        <p className={classes.text}>{t('domainsText')}</p>
        {mayManage && (
          <form onSubmit={submit} className={classes.buttons}>
            <TextInput
              aria-label={t('domain')}
              placeholder={t('domainExample')}
              required
              maxLength={253}
              value={domain}
              onChange={(event) => {
                setDomain(event.currentTarget.value)
              }}
            />
            <Button type="submit" variant="default" loading={add.isPending}>
              {t('addDomain')}
            </Button>
          </form>
        )}
        <DataTable<EmailDomain>
          id="sso-domains"
          label={t('domains')}
          columns={columns}
          list={list}
          idOf={(one) => one.id}
          empty={<PageEmpty title={t('noDomain')} />}
          {...(mayManage
            ? {
                acts: [
                  {
                    label: t('verify'),
                    icon: IconCircleCheck,
                    run: (some) =>
                      void attempt(
                        each(some, (one) => verify.mutateAsync(one.id)),
                        t('domainVerified'),
                      ),
                  },
                  { label: t('remove'), icon: IconTrash, run: (some) => void drop(some) },
                ],
              }
            : {})}
        />
      </div>
    </Card>
  )
}
