/** From nothing to the first answered request, in four steps that tick themselves off. */
import { Button } from '@mantine/core'
import { IconCircleCheckFilled, IconCircleDashed } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import classes from './FirstRun.module.css'
import { STEPS, type FirstRun as Found, type Step } from './useFirstRun'

export function FirstRun({ found }: { found: Found }) {
  const { t } = useTranslation('overview')
  const { done, next, model, dismiss } = found
  if (done === null) return null
  return (
    <Card
      title={next === null ? t('guide.over') : t('guide.title')}
      aside={
        <Button variant="subtle" size="compact-sm" onClick={dismiss}>
          {t('guide.dismiss')}
        </Button>
      }
    >
      <ol className={classes.steps}>
        {STEPS.map((step) => (
          <li key={step} className={classes.step} data-done={done.has(step)} data-next={step === next}>
            {done.has(step) ? (
              <IconCircleCheckFilled size={20} aria-hidden="true" />
            ) : (
              <IconCircleDashed size={20} aria-hidden="true" />
            )}
            <div className={classes.body}>
              <p className={classes.name}>
                {t(`guide.${step}.name`)}
                <span className="sr-only"> {t(done.has(step) ? 'guide.done' : 'guide.open')}</span>
              </p>
              {step === next && <How step={step} model={model} />}
            </div>
          </li>
        ))}
      </ol>
    </Card>
  )
}

function How({ step, model }: { step: Step; model: string }) {
  const { t } = useTranslation('overview')
  const { origin } = window.location
  return (
    <>
      <p className={classes.text}>{t(`guide.${step}.text`)}</p>
      {step === 'node' && (
        <>
          <Link to="/nodes/join">{t('join')}</Link>
          <p className={classes.text}>
            {t('noNode')}. {t('noNodeText')}
          </p>
          <Command label={t('makeToken')} text="ollamamax node token" />
          <Command
            label={t('joinCommand')}
            text={`ollamamax-node join ${origin} --token TOKEN --engine ollama --engine-url http://127.0.0.1:11434`}
          />
        </>
      )}
      {step === 'model' && <Link to="/models">{t('guide.model.link')}</Link>}
      {step === 'key' && <Link to="/keys">{t('guide.key.link')}</Link>}
      {step === 'request' && (
        <>
          <Command label={t('sendRequest')} text={chatCommand(origin, model)} />
          <Link to="/playground">{t('guide.request.link')}</Link>
        </>
      )}
      <p className={classes.text}>
        <a href="/api/v1/docs/" target="_blank" rel="noreferrer">
          {t('guide.api')}
        </a>
      </p>
    </>
  )
}

/** How a program asks for a chat; ``model`` may be empty, where none is known yet. */
export function chatCommand(origin: string, model: string): string {
  return [
    `curl ${origin}/v1/chat/completions \\`,
    '  -H "Authorization: Bearer $OLLAMAMAX_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d '{"model": "${model || 'smollm2:135m'}", "messages": [{"role": "user", "content": "Hello"}]}'`,
  ].join('\n')
}
