/** A command line to copy. */
import { CopyText } from './CopyText'
import classes from './Command.module.css'

export function Command({ text, label, wrap = false }: { text: string; label: string; wrap?: boolean }) {
  return (
    <div className={classes.command}>
      <pre className={classes.text} data-wrap={wrap} tabIndex={0} role="region" aria-label={label}>
        <code>{text}</code>
      </pre>
      <CopyText text={text} label={`Copy: ${label}`} />
    </div>
  )
}
