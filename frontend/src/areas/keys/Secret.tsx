/** A secret that is shown this once. Whoever leaves says that they have it: Escape or a reload would lose it. */
import { Button } from '@mantine/core'
import { useEffect } from 'react'
import { useTranslation } from 'react-i18next'
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
  const { t } = useTranslation()
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
      <p className={classes.text}>{t('once.copy')}</p>
      {more !== undefined && <p className={classes.text}>{more}</p>}
      <Command label={label} text={secret} wrap />
      <div className={classes.buttons}>
        <Button onClick={onDone}>{t('action.done')}</Button>
      </div>
    </div>
  )
}
