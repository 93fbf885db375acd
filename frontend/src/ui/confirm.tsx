/** Asks before something that has consequences: says what they are, and for the worst wants the thing's name typed. */
import { Button, TextInput } from '@mantine/core'
import { useState, useSyncExternalStore } from 'react'
import { useTranslation } from 'react-i18next'
import { Dialog } from './Dialog'
import classes from './form/FormDialog.module.css'

export interface Question {
  title: string
  /** What happens, and whether it can be undone. */
  consequence: string
  /** What the button says: the verb of what is done. */
  action: string
  danger?: boolean
  /** What has to be typed, where it cannot be undone and others depend on it. */
  type?: string
}

interface Asked extends Question {
  answer: (yes: boolean) => void
}

let asked: Asked | null = null
const listeners = new Set<() => void>()

function set(next: Asked | null): void {
  asked = next
  for (const listener of listeners) listener()
}

/** Whether whoever was asked says yes. */
export function confirmed(question: Question): Promise<boolean> {
  asked?.answer(false)
  return new Promise((resolve) => {
    const mine: Asked = {
      ...question,
      answer: (yes) => {
        // A click may come to a dialog whose question another one has replaced: that one is still to be answered.
        if (asked === mine) set(null)
        resolve(yes)
      },
    }
    set(mine)
  })
}

/** Where the questions appear; once, in the shell. */
export function Confirmation() {
  const question = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => asked,
  )
  // The dialog is kept until it has gone, with the words it had.
  const [last, setLast] = useState<Asked | null>(null)
  if (question !== null && question !== last) setLast(question)
  return (
    <Dialog opened={question !== null} onClose={() => question?.answer(false)} title={last?.title ?? ''}>
      {last !== null && <Words key={last.title} question={last} />}
    </Dialog>
  )
}

function Words({ question }: { question: Asked }) {
  const { t } = useTranslation()
  const [typed, setTyped] = useState('')
  const ready = question.type === undefined || typed === question.type
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault()
        if (ready) question.answer(true)
      }}
    >
      <p>{question.consequence}</p>
      {question.type !== undefined && (
        <TextInput
          label={t('confirm.type', { name: question.type })}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          autoComplete="off"
          data-autofocus
        />
      )}
      <div className={classes.buttons}>
        <Button
          variant="default"
          onClick={() => question.answer(false)}
          {...(question.type === undefined ? { 'data-autofocus': true } : {})}
        >
          {t('action.cancel')}
        </Button>
        <Button type="submit" color={question.danger === true ? 'red' : 'brand'} disabled={!ready}>
          {question.action}
        </Button>
      </div>
    </form>
  )
}
