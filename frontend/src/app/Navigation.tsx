/** The side navigation: the entries of all areas that this person may use, by section. */
import { ActionIcon, ScrollArea } from '@mantine/core'
import { IconApi, IconX } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { sessionQuery, type Permission } from '../api/session'
import { Logo } from '../ui/Logo'
import { SECTIONS, type Entry } from './area'
import { ENTRIES } from './areas'
import classes from './Navigation.module.css'

const VERSION = document.querySelector<HTMLMetaElement>('meta[name="ollamamax-version"]')?.content ?? ''

/** The sections that have an entry for somebody with these permissions, each with its entries in order. */
export function sectionsFor(
  entries: readonly Entry[],
  permissions: readonly Permission[],
): { name: Entry['section']; entries: Entry[] }[] {
  return SECTIONS.map((name) => ({
    name,
    entries: entries
      .filter((entry) => entry.section === name)
      .filter((entry) => entry.may === undefined || permissions.includes(entry.may))
      .sort((one, other) => one.order - other.order),
  })).filter((section) => section.entries.length > 0)
}

export function useSections() {
  return sectionsFor(ENTRIES, useQuery(sessionQuery).data?.permissions ?? [])
}

export function Navigation({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  return (
    <>
      <div className={classes.top}>
        <Link to="/" className={classes.home} aria-label={t('shell.home')}>
          <Logo />
        </Link>
        <ActionIcon
          variant="subtle"
          color="gray"
          hiddenFrom="sm"
          size="lg"
          aria-label={t('shell.close')}
          onClick={onClose}
        >
          <IconX size={18} />
        </ActionIcon>
      </div>
      <ScrollArea className={classes.scroll} type="never">
        <nav aria-label={t('nav.label')}>
          {useSections().map((section) => (
            <div key={section.name} className={classes.section}>
              <h2 id={`nav-${section.name}`} className={classes.heading}>
                {t(`nav.${section.name}`)}
              </h2>
              <ul aria-labelledby={`nav-${section.name}`}>
                {section.entries.map((entry) => (
                  <li key={entry.to}>
                    <Link to={entry.to} activeOptions={{ exact: entry.to === '/' }} className={classes.link}>
                      <entry.icon size={17} stroke={1.75} aria-hidden="true" />
                      {t(entry.label)}
                    </Link>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </nav>
      </ScrollArea>
      <div className={classes.foot}>
        <a href="/api/v1/docs/" target="_blank" className={classes.link}>
          <IconApi size={17} stroke={1.75} aria-hidden="true" />
          {t('shell.api')}
        </a>
        <p className={classes.version}>{t('shell.version', { version: VERSION })}</p>
      </div>
    </>
  )
}
