/** What stands around each page inside: side navigation, head of the page, and the live connection that all pages share. */
import { AppShell, Burger } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { Outlet, useMatches, useRouterState } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMay, type Permission } from '../api/session'
import { LiveStore } from '../live/store'
import { LiveContext } from '../live/useLive'
import { PageForbidden, PagePending } from '../ui/PageState'
import { AccountMenu } from './AccountMenu'
import { LeaveWhenLoggedOut } from './LeaveWhenLoggedOut'
import { LiveBadge } from './LiveBadge'
import { Navigation } from './Navigation'
import { SearchButton } from './SearchButton'
import classes from './Shell.module.css'
import { TenantSwitcher } from './TenantSwitcher'

// Few organisations are ever deleted: nobody waits for what tells of it.
const Leaving = lazy(async () => ({ default: (await import('./Leaving')).Leaving }))

export function Shell() {
  const { t } = useTranslation()
  const [opened, { toggle, close }] = useDisclosure(false)
  const path = useRouterState({ select: (state) => state.location.pathname })
  useEffect(close, [path, close])
  const [live] = useState(() => new LiveStore(window.location.origin))
  useEffect(() => {
    live.start()
    // Whether data is of now shows by the totals, on every page.
    const release = live.want('fleet')
    return () => {
      release()
      live.stop()
    }
  }, [live])
  return (
    <LiveContext value={live}>
      <LeaveWhenLoggedOut />
      <a href="#main" className={classes.skip}>
        {t('shell.skip')}
      </a>
      <AppShell
        layout="alt"
        header={{ height: 52 }}
        navbar={{ width: 224, breakpoint: 'sm', collapsed: { mobile: !opened } }}
        padding={0}
      >
        <AppShell.Header className={classes.header}>
          <Burger
            opened={opened}
            onClick={toggle}
            hiddenFrom="sm"
            size="sm"
            aria-label={t(opened ? 'shell.close' : 'shell.open')}
          />
          <TenantSwitcher />
          <div className={classes.right}>
            <SearchButton />
            <LiveBadge />
            <AccountMenu />
          </div>
        </AppShell.Header>
        <AppShell.Navbar className={classes.navbar}>
          <Navigation onClose={close} />
        </AppShell.Navbar>
        <AppShell.Main>
          <div id="main" className={classes.main} tabIndex={-1}>
            <Suspense fallback={null}>
              <Leaving />
            </Suspense>
            <Suspense fallback={<PagePending />}>
              <Allowed />
            </Suspense>
          </div>
        </AppShell.Main>
      </AppShell>
    </LiveContext>
  )
}

/** The page, where its route's permission is given. */
function Allowed() {
  const may = useMatches({
    select: (matches) => matches.map((match) => match.staticData.may).findLast((each) => each !== undefined),
  })
  return may === undefined ? <Outlet /> : <Permitted permission={may} />
}

function Permitted({ permission }: { permission: Permission }) {
  return useMay(permission) ? <Outlet /> : <PageForbidden />
}
