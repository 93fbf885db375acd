/** The audit trail: found by who, what and when, checked, and taken as a file. */
import { Alert, Button, Menu, Progress, SegmentedControl } from '@mantine/core'
import { IconDownload, IconShieldCheck } from '@tabler/icons-react'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  AUDIT_FORMS,
  auditFile,
  changesOf,
  useAudit,
  useVerify,
  type AuditAsked,
  type AuditRecord,
  type Chain,
  type Check,
} from '../../api/audit'
import { sentence } from '../../api/client'
import { useMay } from '../../api/session'
import { count, exactly, percent, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import { Choice } from '../../ui/table/Choice'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { useTableState } from '../../ui/table/useTableState'
import classes from './AuditPage.module.css'
import { valueText } from './words'

const SUBJECTS = [
  'user',
  'key',
  'role',
  'tenant',
  'node',
  'join_token',
  'model',
  'alias',
  'version',
  'job',
  'request',
  'file',
  'batch',
] as const
const SPANS = { day: 1, yesterday: 2, week: 7, month: 30, year: 365 } as const
const DAY = 86_400_000

export function AuditPage() {
  const { t } = useTranslation('audit')
  const isOperator = useMay('tenant.manage')
  const search: Record<string, unknown> = useSearch({ strict: false })
  const navigate = useNavigate()
  const chain: Chain = isOperator && search.chain === 'system' ? 'system' : 'tenant'
  const columns = useMemo(
    (): Column<AuditRecord>[] => [
      {
        id: 'at',
        header: t('at'),
        value: (record) => record.at,
        cell: (record) => <time title={exactly(record.at)}>{when(record.at)}</time>,
        width: 150,
      },
      { id: 'actor', header: t('actor'), value: (record) => record.actor_name || record.actor_kind, width: 220 },
      { id: 'action', header: t('action'), value: (record) => record.action, primary: true, width: 200 },
      { id: 'target', header: t('target'), value: (record) => record.target_type, width: 110 },
      { id: 'detail', header: t('what'), value: (record) => inShort(record.detail) },
      { id: 'request', header: t('request'), value: (record) => record.request, hidden: true },
      { id: 'seq', header: t('number'), value: (record) => record.seq, cell: (record) => count(record.seq), align: 'right', width: 90 },
    ],
    [t],
  ) // prettier-ignore
  const view = useTableState({ hidden: ['request'] })
  const { text, filters } = view.state
  const chosen = filters.span?.[0]
  const today = new Date().toDateString()
  const since = useMemo(() => {
    const days = Object.entries(SPANS).find(([name]) => name === chosen)?.[1]
    return days === undefined ? undefined : new Date(Date.parse(today) - (days - 1) * DAY).toISOString()
  }, [chosen, today])
  const asked: AuditAsked = {
    chain,
    ...(text === '' ? {} : { search: text }),
    ...(filters.target?.[0] === undefined ? {} : { target_type: filters.target[0] }),
    ...(since === undefined ? {} : { since }),
  }
  const list = useAudit(asked)
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <>
          <Button variant="default" size="sm" renderRoot={(props) => <Link {...props} to="/audit/keeping" />}>
            {t('keepingLink')}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default" size="sm" leftSection={<IconDownload size={16} />}>
                {t('export')}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {AUDIT_FORMS.map((form) => (
                <Menu.Item key={form} component="a" href={auditFile(asked, form)} download>
                  {t(form)}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        </>
      }
    >
      {isOperator && (
        <SegmentedControl
          aria-label={t('chain')}
          value={chain}
          data={[
            { value: 'tenant', label: t('ofTenant') },
            { value: 'system', label: t('ofSystem') },
          ]}
          onChange={(value) => {
            void navigate({ to: '.', replace: true, search: { ...search, chain: value } as never })
          }}
        />
      )}
      <Verify key={chain} chain={chain} />
      <DataTable
        id="audit"
        label={t('title')}
        columns={columns}
        list={list}
        view={view}
        idOf={(record) => String(record.seq)}
        linkOf={(record) => ({ to: '/audit/$chain/$seq', params: { chain, seq: String(record.seq) } })}
        tools={
          <>
            <Choice
              view={view}
              name="target"
              label={t('target')}
              data={SUBJECTS.map((each) => [each, t(`subject.${each}`)])}
            />
            <Choice
              view={view}
              name="span"
              label={t('span.label')}
              data={Object.keys(SPANS).map((each) => [each, t(`span.${each as keyof typeof SPANS}`)])}
            />
          </>
        }
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
    </Page>
  )
}

/** The fields of a record in one line. */
function inShort(detail: unknown): string {
  return changesOf(detail)
    .filter(({ after }) => after !== '' && after !== undefined)
    .map(({ name, after }) => `${name}: ${valueText(after)}`)
    .join(', ')
}

function Verify({ chain }: { chain: Chain }) {
  const { t } = useTranslation('audit')
  const [check, setCheck] = useState<Check | null>(null)
  const verify = useVerify(setCheck)
  const isOver = verify.data !== undefined
  return (
    <div className={classes.verify}>
      <Button
        variant="light"
        size="sm"
        leftSection={<IconShieldCheck size={16} />}
        loading={verify.isPending}
        onClick={() => {
          setCheck(null)
          verify.mutate(chain)
        }}
      >
        {t('verify')}
      </Button>
      {!isOver && verify.isPending && check !== null && (
        <Progress
          w={200}
          value={percent(check.checked, check.last)}
          aria-label={t('checked', { done: count(check.checked), all: count(check.last) })}
        />
      )}
      {verify.error !== null && <Alert color="red">{sentence(verify.error)}</Alert>}
      {isOver && check !== null && (
        <Alert color={check.problems.length === 0 ? 'green' : 'red'} variant="light" role="status" py={8}>
          {check.problems.length === 0
            ? t('intact', { count: check.last, shown: count(check.last) })
            : t('broken', { count: check.problems.length })}
          {check.problems.length > 0 && (
            <ul className={classes.problems}>
              {check.problems.map((problem) => (
                <li key={`${problem.seq} ${problem.what}`}>
                  {t('problem', { seq: problem.seq, what: problem.what })}
                </li>
              ))}
            </ul>
          )}
        </Alert>
      )}
    </div>
  )
}
