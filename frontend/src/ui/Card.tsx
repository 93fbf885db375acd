/** A titled part of a page. */
import { useId, type ReactNode } from 'react'
import classes from './Card.module.css'

interface CardProps {
  title: string
  aside?: ReactNode
  children: ReactNode
  flush?: boolean
}

export function Card({ title, aside, children, flush = false }: CardProps) {
  const id = useId()
  return (
    <section className={classes.card} aria-labelledby={id}>
      <div className={classes.head}>
        <h2 id={id} className={classes.title}>
          {title}
        </h2>
        {aside !== undefined && <div className={classes.aside}>{aside}</div>}
      </div>
      <div className={flush ? classes.flush : classes.body}>{children}</div>
    </section>
  )
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={classes.empty}>
      <p className={classes.emptyTitle}>{title}</p>
      {children}
    </div>
  )
}
