/** What is shown when a page cannot be: the reason, and a way on. */
import { Button } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { sentence } from '../api/client'
import { Logo } from '../ui/Logo'
import classes from './Failure.module.css'

export function Failure({ error }: { error: unknown }) {
  return (
    <main className={classes.page}>
      <Logo />
      <h1 className={classes.title}>The console cannot be shown</h1>
      <p className={classes.text}>{sentence(error)}</p>
      <Button
        onClick={() => {
          window.location.reload()
        }}
      >
        Try again
      </Button>
    </main>
  )
}

export function NotFound() {
  return (
    <main className={classes.page}>
      <Logo />
      <h1 className={classes.title}>There is no such page</h1>
      <p className={classes.text}>
        <Link to="/">Go to the overview</Link>
      </p>
    </main>
  )
}
