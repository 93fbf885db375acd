/** Every webhook of the tenant: where it leads, what it is told of, and whether that arrives. */
import { Button } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useWebhooks, type Webhook } from '../../api/webhooks'
import { Dialog } from '../../ui/Dialog'
import { count, exactly, when } from '../../ui/format'
import { Once } from '../../ui/Once'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { conditionOf, TONE } from './condition'
import { WebhookForm } from './WebhookForm'

export function WebhooksPage() {
  const { t } = useTranslation('webhooks')
  const list = useWebhooks()
  const [creating, setCreating] = useState(false)
  const [secret, setSecret] = useState<string | null>(null)
  const columns = useMemo(
    (): Column<Webhook>[] => [
      { id: 'url', header: t('url'), value: (row) => row.url, primary: true },
      { id: 'description', header: t('description'), value: (row) => row.description, width: 200 },
      { id: 'events', header: t('events'), value: (row) => row.events.join(', '), width: 220 },
      {
        id: 'condition',
        header: t('state'),
        value: conditionOf,
        cell: (row) => <Tag tone={TONE[conditionOf(row)]}>{t(conditionOf(row))}</Tag>,
        width: 130,
      },
      { id: 'waiting', header: t('waiting'), value: (row) => row.waiting, cell: (row) => count(row.waiting), align: 'right', width: 110 },
      {
        id: 'succeeded',
        header: t('lastSuccess'),
        value: (row) => row.succeeded_at,
        cell: (row) => row.succeeded_at === null ? '–' : <time title={exactly(row.succeeded_at)}>{when(row.succeeded_at)}</time>,
        width: 150,
      },
    ],
    [t],
  ) // prettier-ignore
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <Button leftSection={<IconPlus size={16} />} onClick={() => setCreating(true)}>
          {t('create')}
        </Button>
      }
    >
      <DataTable
        id="webhooks"
        label={t('title')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        linkOf={(row) => ({ to: '/webhooks/$webhookId', params: { webhookId: row.id } })}
        toneOf={(row) => (conditionOf(row) === 'failing' ? 'bad' : undefined)}
        empty={<PageEmpty title={t('none')}>{t('noneText')}</PageEmpty>}
      />
      {creating && <WebhookForm onClose={() => setCreating(false)} onSecret={setSecret} />}
      <Dialog opened={secret !== null} onClose={() => setSecret(null)} title={t('made')} held>
        {secret !== null && (
          <Once label={t('secret')} text={secret} onDone={() => setSecret(null)}>
            <p>{t('secretHelp')}</p>
          </Once>
        )}
      </Dialog>
    </Page>
  )
}
