/** The prompt of a request that its organisation keeps: it is read when somebody presses for it, for that is in the audit trail. */
import { Alert, Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { useReadPrompt, type PromptPart } from '../../api/requests'
import { Card } from '../../ui/Card'
import { bytes } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import classes from './RequestPage.module.css'

const ROLES = [
  'system',
  'developer',
  'user',
  'assistant',
  'tool',
  'prompt',
  'suffix',
  'input',
  'tokens',
] as const

export function PromptCard({ request }: { request: string }) {
  const { t } = useTranslation('requests')
  const read = useReadPrompt()
  const found = read.data
  return (
    <Card title={t('prompt.title')}>
      <p className={classes.text}>{t('prompt.kept')}</p>
      {read.error !== null && (
        <Alert color="red" variant="light" role="alert" icon={<Icon name="alert" />}>
          {sentence(read.error)}
        </Alert>
      )}
      {found === undefined ? (
        <Button
          variant="default"
          size="sm"
          mt={10}
          loading={read.isPending}
          onClick={() => read.mutate(request)}
        >
          {t('prompt.show')}
        </Button>
      ) : (
        <>
          {found.cut && <p className={classes.text}>{t('prompt.cut', { size: bytes(found.bytes) })}</p>}
          {found.parts.length === 0 && <p className={classes.text}>{t('prompt.empty')}</p>}
          <div className={classes.prompt} role="region" aria-label={t('prompt.title')} tabIndex={0}>
            {found.parts.map((part, index) => (
              // The parts of one reading never change.
              <Part key={index} part={part} />
            ))}
          </div>
          <Button variant="default" size="sm" mt={10} onClick={() => read.reset()}>
            {t('prompt.hide')}
          </Button>
        </>
      )}
    </Card>
  )
}

function Part({ part }: { part: PromptPart }) {
  const { t } = useTranslation('requests')
  const known = ROLES.find((each) => each === part.role)
  return (
    <section>
      <h3 className={classes.role}>{known === undefined ? part.role : t(`prompt.role.${known}`)}</h3>
      <pre className={classes.said} dir="auto">
        {part.text}
      </pre>
    </section>
  )
}
