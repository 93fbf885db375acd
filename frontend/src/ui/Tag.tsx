/** A state in a word. */
import type { ReactNode } from 'react'
import classes from './Tag.module.css'

export type Tone = 'ok' | 'warn' | 'bad' | 'plain' | 'accent'

export function Tag({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string }) {
  return (
    <span className={classes.tag} data-tone={tone} title={title}>
      {children}
    </span>
  )
}
