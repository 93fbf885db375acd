/** One delivery: the body that was sent, and what came of each attempt. */
import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { useDelivery, useWebhookActs, type Webhook } from '../../api/webhooks'
import { Dialog } from '../../ui/Dialog'
import { dateTime, duration } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import { Tag } from '../../ui/Tag'
import { done, failed } from '../../ui/toast'
import { DELIVERY_TONE } from './condition'
import classes from './WebhookPage.module.css'

interface DeliveryDialogProps {
  webhook: Webhook
  delivery: string
  onClose: () => void
}

export function DeliveryDialog({ webhook, delivery, onClose }: DeliveryDialogProps) {
  const { t } = useTranslation('webhooks')
  const query = useDelivery(webhook.id, delivery)
  const { redeliver } = useWebhookActs()
  return (
    <Dialog opened onClose={onClose} title={query.data?.type ?? t('event')} size="lg">
      <Loaded query={query}>
        {(found) => (
          <div className={classes.stack}>
            <div>
              <Tag tone={DELIVERY_TONE[found.state]}>{t(`delivery.${found.state}`)}</Tag>
              {found.next_at !== null && found.tries > 0 && (
                <span className={classes.muted}> {t('nextTry', { time: dateTime(found.next_at) })}</span>
              )}
            </div>
            <div>
              <h3>{t('body')}</h3>
              <pre className={classes.body} tabIndex={0} role="region" aria-label={t('body')}>
                {JSON.stringify(found.payload, null, 2)}
              </pre>
            </div>
            <div>
              <h3>{t('attempts')}</h3>
              {found.attempts.length === 0 && <p className={classes.muted}>{t('noAttempt')}</p>}
              <ol className={classes.attempts}>
                {found.attempts.map((each) => (
                  <li key={each.at}>
                    <strong>{each.status ?? t('noAnswer')}</strong>{' '}
                    <span className={classes.muted}>
                      {dateTime(each.at)} · {duration(each.took_ms)}
                    </span>
                    {each.error !== '' && <div>{each.error}</div>}
                    {each.excerpt !== '' && <code className={classes.muted}>{each.excerpt}</code>}
                  </li>
                ))}
              </ol>
            </div>
            {found.state !== 'waiting' && webhook.enabled && (
              <div>
                <Button
                  loading={redeliver.isPending}
                  onClick={() =>
                    redeliver.mutate(
                      { webhook: webhook.id, delivery },
                      { onSuccess: () => done(t('redelivered')), onError: failed },
                    )
                  }
                >
                  {t('redeliver')}
                </Button>
              </div>
            )}
          </div>
        )}
      </Loaded>
    </Dialog>
  )
}
