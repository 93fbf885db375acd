/** One record of the trail: who, what, when, and each field before and after. */
import { Anchor } from '@mantine/core'
import { IconArrowLeft } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { changesOf, useAuditRecord, type AuditRecord, type Chain } from '../../api/audit'
import { Card } from '../../ui/Card'
import { CopyText } from '../../ui/CopyText'
import { Fact, Facts } from '../../ui/Facts'
import { count, exactly } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageMissing } from '../../ui/PageState'
import { ScrollBox } from '../../ui/ScrollBox'
import classes from './AuditPage.module.css'
import { pageOf, valueText } from './words'

export function RecordPage() {
  const { chain, seq } = useParams({ from: '/inside/audit/$chain/$seq' })
  if (!/^[1-9]\d{0,14}$/.test(seq) || (chain !== 'tenant' && chain !== 'system')) return <PageMissing />
  return <Found seq={Number(seq)} chain={chain} />
}

function Found({ seq, chain }: { seq: number; chain: Chain }) {
  return (
    <Loaded query={useAuditRecord(seq, chain)}>{(record) => <Shown record={record} chain={chain} />}</Loaded>
  )
}

function Shown({ record, chain }: { record: AuditRecord; chain: Chain }) {
  const { t } = useTranslation('audit')
  const changes = changesOf(record.detail)
  const told = changes.some(({ before }) => before !== undefined)
  const target = pageOf(record)
  return (
    <Page
      title={record.action}
      documentTitle={`${record.action} · ${t('title')}`}
      lead={
        <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/audit" search={{ chain } as never} />}>
          <IconArrowLeft size={14} aria-hidden="true" /> {t('back')}
        </Anchor>
      }
    >
      <Card title={t('record', { number: count(record.seq) })}>
        <Facts>
          <Fact name={t('at')}>{exactly(record.at)}</Fact>
          <Fact name={t('actor')}>{record.actor_name || record.actor_kind}</Fact>
          <Fact name={t('actorKind')}>{record.actor_kind}</Fact>
          <Fact name={t('target')}>
            {record.target_type}{' '}
            {target === null ? (
              <span className={classes.mono}>{record.target_id}</span>
            ) : (
              <Anchor
                size="sm"
                className={classes.mono}
                renderRoot={(props) => <Link {...props} to={target as never} />}
              >
                {record.target_id}
              </Anchor>
            )}
          </Fact>
          <Fact name={t('request')}>
            <span className={classes.mono}>{record.request || '–'}</span>
          </Fact>
          <Fact name={t('hash')}>
            <span className={classes.mono}>{record.hash.slice(0, 16)}…</span>
            <CopyText text={record.hash} label={t('copyHash')} size={24} />
          </Fact>
        </Facts>
      </Card>
      {changes.length > 0 && (
        <Card title={t(told ? 'changes' : 'what')} flush>
          <ScrollBox label={t('changes')}>
            <table className={classes.change}>
              <thead>
                <tr>
                  <th scope="col">{t('field')}</th>
                  {told && <th scope="col">{t('before')}</th>}
                  <th scope="col">{t(told ? 'after' : 'value')}</th>
                </tr>
              </thead>
              <tbody>
                {changes.map(({ name, before, after }) => (
                  <tr key={name}>
                    <th scope="row">{name}</th>
                    {told && (
                      <td className={before === undefined ? undefined : classes.before}>
                        {valueText(before)}
                      </td>
                    )}
                    <td className={before === undefined ? undefined : classes.after}>{valueText(after)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </ScrollBox>
        </Card>
      )}
    </Page>
  )
}
