/** A conversation with one model, or the same one with two side by side. */
import { Button, SegmentedControl } from '@mantine/core'
import { IconColumns2, IconEraser } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useModels } from '../../api/models'
import { forgetToken } from '../../api/playground'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { Page } from '../../ui/Page'
import { answerTo } from './answerTo'
import { Composer } from './Composer'
import { asCode, bodyOfChat, DEFAULTS, unreadable, type Parameters, type Turn } from './conversation'
import { ParameterFields } from './ParameterFields'
import { Panel } from './Panel'
import classes from './Playground.module.css'

interface Side {
  model: string | null
  turns: readonly Turn[]
}

export function PlaygroundPage() {
  const { t } = useTranslation('playground')
  const queries = useQueryClient()
  const wanted: { model?: unknown } = useSearch({ strict: false })
  const list = useModels()
  const models = useMemo(() => (list.rows ?? []).map((model) => model.name), [list.rows])
  const [sides, setSides] = useState<readonly Side[]>([
    { model: typeof wanted.model === 'string' ? wanted.model : null, turns: [] },
  ])
  const [parameters, setParameters] = useState<Parameters>(DEFAULTS)
  const [language, setLanguage] = useState<'curl' | 'python' | 'javascript'>('curl')
  const running = useRef<AbortController | null>(null)
  const [busy, setBusy] = useState(false)
  const first = models[0]
  const shown = sides.map((side) => ({ ...side, model: side.model ?? first ?? null }))

  useEffect(
    () => () => {
      running.current?.abort()
      forgetToken()
    },
    [],
  )

  const change = (index: number, next: (side: Side) => Side) =>
    setSides((before) => before.map((side, at) => (at === index ? next(side) : side)))

  const ask = async (index: number, side: Side, turn: Turn, signal: AbortSignal): Promise<void> => {
    if (side.model === null) return
    const asked = [...side.turns, turn]
    await answerTo(side.model, asked, parameters, signal, (answer) =>
      change(index, (now) => ({
        ...now,
        turns: [...asked, { role: 'assistant', text: answer.text, answer }],
      })),
    )
  }

  const send = async (turn: Turn): Promise<void> => {
    const control = new AbortController()
    running.current = control
    setBusy(true)
    await Promise.all(shown.map((side, index) => ask(index, side, turn, control.signal)))
    setBusy(false)
    void queries.invalidateQueries({ queryKey: ['requests'] })
  }

  const bad = unreadable(parameters)
  const body =
    bad.length === 0
      ? bodyOfChat(
          shown[0]?.model ?? 'MODEL',
          shown[0]?.turns.filter((turn) => turn.role === 'user').slice(-1) ?? [],
          parameters,
        )
      : null
  return (
    <Page
      title={t('title')}
      actions={
        <>
          <Button
            variant="default"
            size="xs"
            leftSection={<IconColumns2 size={15} />}
            aria-pressed={sides.length === 2}
            onClick={() =>
              setSides(
                sides.length === 2
                  ? sides.slice(0, 1)
                  : [...sides, { model: models[1] ?? first ?? null, turns: [] }],
              )
            }
          >
            {t(sides.length === 2 ? 'one' : 'two')}
          </Button>
          <Button
            variant="default"
            size="xs"
            leftSection={<IconEraser size={15} />}
            onClick={() => {
              running.current?.abort()
              setSides(sides.map((side) => ({ ...side, turns: [] })))
            }}
          >
            {t('clear')}
          </Button>
        </>
      }
    >
      <div className={classes.layout}>
        <div className={classes.talk}>
          <div className={classes.panels} data-two={sides.length === 2}>
            {shown.map((side, index) => (
              <Panel
                key={index}
                model={side.model}
                models={models}
                turns={side.turns}
                onModel={(model) => change(index, (now) => ({ ...now, model }))}
              />
            ))}
          </div>
          <Composer
            busy={busy}
            disabled={bad.length > 0 || shown.some((side) => side.model === null)}
            onSend={(turn) => void send(turn)}
            onStop={() => running.current?.abort()}
          />
        </div>
        <div className={classes.side}>
          <Card title={t('parameters')}>
            <ParameterFields parameters={parameters} bad={bad} onChange={setParameters} />
          </Card>
          <Card title={t('code')}>
            <SegmentedControl
              size="xs"
              fullWidth
              mb="xs"
              data={[
                { value: 'curl', label: 'curl' },
                { value: 'python', label: 'Python' },
                { value: 'javascript', label: 'JavaScript' },
              ]}
              value={language}
              onChange={(value) => setLanguage(value)}
            />
            {body !== null && (
              <Command label={language} text={asCode(language, window.location.origin, body)} />
            )}
          </Card>
        </div>
      </div>
    </Page>
  )
}
