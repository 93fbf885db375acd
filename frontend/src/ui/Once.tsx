/** Something that is shown this once. Whoever leaves says that they have it: Escape or a reload would lose it. */
import { Button } from '@mantine/core'
import { useEffect, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Command } from './Command'
import classes from './form/FormDialog.module.css'

interface OnceProps {
  label: string
  text: string
  onDone: () => void
  /** What else is to be known before it is used. */
  children?: ReactNode
}

export function Once({ label, text, onDone, children }: OnceProps) {
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
      <p>{t('once.copy')}</p>
      {children}
      <Command label={label} text={text} wrap />
      <div className={classes.buttons}>
        <Button onClick={onDone}>{t('action.done')}</Button>
      </div>
    </div>
  )
}
