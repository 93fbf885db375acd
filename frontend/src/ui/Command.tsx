/** A command line, or an address, to copy. */
import { useTranslation } from 'react-i18next'
import { CopyText } from './CopyText'
import classes from './Command.module.css'

interface Props {
  text: string
  /** What it is called: for who hears the page, and for everybody where it is `named`. */
  label: string
  named?: boolean
  wrap?: boolean
}

export function Command({ text, label, named = false, wrap = false }: Props) {
  const { t } = useTranslation()
  const command = (
    <div className={classes.command}>
      <pre className={classes.text} data-wrap={wrap} tabIndex={0} role="region" aria-label={label}>
        <code>{text}</code>
      </pre>
      <CopyText text={text} label={t('action.copyOf', { label })} />
    </div>
  )
  if (!named) return command
  return (
    <div>
      <div className={classes.name} aria-hidden>
        {label}
      </div>
      {command}
    </div>
  )
}
