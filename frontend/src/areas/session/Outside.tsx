/** The frame of the pages for who is not logged in: one card in the middle. */
import type { ReactNode } from 'react'
import { SchemeToggle } from '../../app/SchemeToggle'
import { Logo } from '../../ui/Logo'
import { useDocumentTitle } from '../../ui/Page'
import classes from './LoginPage.module.css'

export function Outside({ title, children }: { title: string; children: ReactNode }) {
  useDocumentTitle(title)
  return (
    <div className={classes.page}>
      <header className={classes.top}>
        <SchemeToggle />
      </header>
      <main className={classes.main}>
        <div className={classes.card}>
          <Logo />
          <h1 className={classes.title}>{title}</h1>
          {children}
        </div>
      </main>
    </div>
  )
}
