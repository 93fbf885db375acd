/** One model's side of the playground: its turns, what each cost, and the node that answered. */
import { Alert, Loader, Select, Spoiler } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useRequest } from '../../api/requests'
import { count, duration, perSecond } from '../../ui/format'
import type { Answered, Turn } from './conversation'
import { Markdown } from './Markdown'
import classes from './Playground.module.css'

interface PanelProps {
  model: string | null
  models: readonly string[]
  onModel: (model: string | null) => void
  turns: readonly Turn[]
}

export function Panel({ model, models, onModel, turns }: PanelProps) {
  const { t } = useTranslation('playground')
  return (
    <section className={classes.panel} aria-label={model ?? t('model')}>
      <div className={classes.panelHead}>
        <Select
          size="sm"
          aria-label={t('model')}
          placeholder={t('model')}
          data={[...models]}
          value={model}
          onChange={onModel}
          searchable
          allowDeselect={false}
          nothingFoundMessage={t('noModel')}
        />
      </div>
      <div className={classes.turns} tabIndex={0} role="log" aria-label={t('conversation')}>
        {turns.length === 0 && <p className={classes.hint}>{t('hint')}</p>}
        {turns.map((turn, index) => (
          <div key={index} className={classes.turn} data-role={turn.role}>
            {turn.role === 'user' ? (
              <div className={classes.asked}>
                {turn.images?.map((url) => (
                  <img key={url} src={url} alt={t('image')} className={classes.image} />
                ))}
                {turn.text}
              </div>
            ) : (
              <Answer text={turn.text} answer={turn.answer} />
            )}
          </div>
        ))}
      </div>
    </section>
  )
}

function Answer({ text, answer }: { text: string; answer: Answered | undefined }) {
  const { t } = useTranslation('playground')
  const waiting = answer?.took === null
  return (
    <>
      {Boolean(answer?.thinking) && (
        <Spoiler maxHeight={44} showLabel={t('thoughts')} hideLabel={t('less')} className={classes.thinking}>
          {answer?.thinking}
        </Spoiler>
      )}
      {text === '' && waiting ? (
        <Loader size="xs" type="dots" />
      ) : (
        <Markdown text={text} copy={t('copyCode')} />
      )}
      {answer?.calls.map((call, index) => (
        <pre key={index} className={classes.call} tabIndex={0}>
          {call.name}({call.arguments})
        </pre>
      ))}
      {answer?.error != null && (
        <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
          {answer.error}
        </Alert>
      )}
      {answer !== undefined && !waiting && answer.error === null && <Facts answer={answer} />}
    </>
  )
}

function Facts({ answer }: { answer: Answered }) {
  const { t } = useTranslation('playground')
  const { firstToken, took, usage, request } = answer
  const generating = took === null || firstToken === null ? 0 : (took - firstToken) / 1000
  return (
    <p className={classes.factsLine}>
      {firstToken !== null && <span>{t('firstToken', { time: duration(firstToken) })}</span>}
      {took !== null && <span>{t('took', { time: duration(took) })}</span>}
      {usage !== null && (
        <span>{t('tokens', { prompt: count(usage.prompt), completion: count(usage.completion) })}</span>
      )}
      {usage !== null && generating > 0.05 && usage.completion > 1 && (
        <span>{t('speed', { speed: perSecond((usage.completion - 1) / generating) })}</span>
      )}
      {request !== null && <Where request={request} />}
    </p>
  )
}

function Where({ request }: { request: string }) {
  const { t } = useTranslation('playground')
  const node = useRequest(request).data?.node_name
  return (
    <Link to="/requests/$id" params={{ id: request }} className={classes.where}>
      {node ? t('on', { node }) : t('request')}
    </Link>
  )
}
