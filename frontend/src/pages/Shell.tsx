/** The frame of every page behind the log-in: header, live connection, the page. */
import { Button, Menu } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useRouter } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { sessionQuery, useLogOut } from '../api/session'
import { Icon } from '../components/Icon'
import { LiveBadge } from '../components/LiveBadge'
import { Logo } from '../components/Logo'
import { SchemeToggle } from '../components/SchemeToggle'
import { LiveConnection } from '../live/connection'
import { LiveContext } from '../live/useLive'
import classes from './Shell.module.css'

export function Shell() {
  const [connection] = useState(
    () => new LiveConnection(`${window.location.origin.replace(/^http/, 'ws')}/ws/live/`),
  )
  useEffect(() => {
    connection.start()
    return () => {
      connection.stop()
    }
  }, [connection])
  return (
    <LiveContext value={connection}>
      <a href="#main" className={classes.skip}>
        Skip to the content
      </a>
      <Header />
      <main id="main" className={classes.main} tabIndex={-1}>
        <Outlet />
      </main>
    </LiveContext>
  )
}

function Header() {
  const session = useQuery(sessionQuery).data
  return (
    <header className={classes.header}>
      <div className={classes.bar}>
        <Link to="/" className={classes.home} aria-label="OllamaMax, overview">
          <Logo />
        </Link>
        <nav className={classes.nav} aria-label="Main">
          <Link to="/" activeOptions={{ exact: true }} className={classes.link}>
            Overview
          </Link>
          {session?.permissions.includes('key.view') === true && (
            <Link to="/keys" className={classes.link}>
              API keys
            </Link>
          )}
        </nav>
        <div className={classes.right}>
          <LiveBadge />
          <SchemeToggle />
          {session?.user && <UserMenu email={session.user.email} tenant={session.tenant?.name ?? null} />}
        </div>
      </div>
    </header>
  )
}

function UserMenu({ email, tenant }: { email: string; tenant: string | null }) {
  const router = useRouter()
  const logOut = useLogOut()
  return (
    <Menu position="bottom-end" width={240}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          size="sm"
          className={classes.user}
          rightSection={<Icon name="down" size={14} />}
          aria-label={`Account: ${email}${tenant === null ? '' : `, ${tenant}`}`}
        >
          <span className={classes.tenant}>{tenant ?? email}</span>
          <span className={classes.person}>
            <Icon name="user" />
          </span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={classes.who}>
          <div className={classes.email}>{email}</div>
          {tenant !== null && <div className={classes.where}>{tenant}</div>}
        </div>
        <Menu.Divider />
        <Menu.Item
          leftSection={<Icon name="leave" size={16} />}
          onClick={() => {
            logOut.mutate(undefined, {
              onSuccess: () => {
                void router.navigate({ to: '/login' })
              },
            })
          }}
        >
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
