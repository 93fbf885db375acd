/** A secret that is shown this once. Whoever leaves says that they have it: Escape or a reload would lose it. */
import { Button } from '@mantine/core'
import { useEffect } from 'react'
import { Command } from '../../ui/Command'
import classes from './CreateKey.module.css'

interface SecretProps {
  label: string
  secret: string
  onDone: () => void
  /** What else is to be known before it is used. */
  more?: string
}

export function Secret({ label, secret, onDone, more }: SecretProps) {
  useEffect(() => {
    const ask = (event: BeforeUnloadEvent) => {
      event.preventDefault()
    }
    window.addEventListener('beforeunload', ask)
    return () => {
      window.removeEventListener('beforeunload', ask)
    }
  }, [])
  return (
    <div className={classes.form}>
      <p className={classes.text}>Copy it now: it is shown this once and cannot be read again.</p>
      {more !== undefined && <p className={classes.text}>{more}</p>}
      <Command label={label} text={secret} wrap />
      <div className={classes.buttons}>
        <Button onClick={onDone}>Done</Button>
      </div>
    </div>
  )
}
