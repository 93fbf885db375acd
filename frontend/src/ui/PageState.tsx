/** The states of a page that shows no content: it is on its way, there is none, it failed, it is not there, or may not be seen. */
import { Button, Loader } from '@mantine/core'
import { IconAlertTriangle, IconError404, IconInbox, IconLock } from '@tabler/icons-react'
import type { ErrorComponentProps } from '@tanstack/react-router'
import type { ComponentType, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem, sentence } from '../api/client'
import classes from './PageState.module.css'

interface PageStateProps {
  icon: ComponentType<{ size?: number | string; stroke?: number | string }>
  title: string
  children?: ReactNode
  /** An error is announced; an empty list is not. */
  alert?: boolean
}

export function PageState({ icon: Icon, title, children, alert = false }: PageStateProps) {
  return (
    <div className={classes.state} data-bad={alert} {...(alert ? { role: 'alert' } : {})}>
      <Icon size={28} stroke={1.5} />
      <p className={classes.title}>{title}</p>
      {children !== undefined && <div className={classes.text}>{children}</div>}
    </div>
  )
}

export function PagePending() {
  const { t } = useTranslation()
  return (
    <div className={classes.state} aria-busy="true">
      <Loader size="sm" aria-hidden="true" />
      <p role="status">{t('state.pending')}</p>
    </div>
  )
}

export function PageEmpty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <PageState icon={IconInbox} title={title}>
      {children}
    </PageState>
  )
}

export function PageMissing() {
  const { t } = useTranslation()
  return (
    <PageState icon={IconError404} title={t('state.missing')} alert>
      {t('state.missingText')}
    </PageState>
  )
}

export function PageForbidden() {
  const { t } = useTranslation()
  return (
    <PageState icon={IconLock} title={t('state.forbidden')} alert>
      {t('state.forbiddenText')}
    </PageState>
  )
}

export function PageFailure({ error, reset }: Pick<ErrorComponentProps, 'error'> & { reset?: () => void }) {
  const { t } = useTranslation()
  if (error instanceof Problem && error.status === 404) return <PageMissing />
  if (error instanceof Problem && error.status === 403) return <PageForbidden />
  return (
    <PageState icon={IconAlertTriangle} title={t('state.failed')} alert>
      <p>{sentence(error)}</p>
      <Button
        variant="default"
        size="xs"
        mt="sm"
        onClick={() => {
          if (reset === undefined) window.location.reload()
          else reset()
        }}
      >
        {t('action.again')}
      </Button>
    </PageState>
  )
}

/** What of a query is needed to show its state. */
interface Asked<Data> {
  data: Data | undefined
  error: Error | null
  refetch: () => unknown
}

interface LoadedProps<Data> {
  query: Asked<Data>
  /** Shown in place of the content where `isEmpty` says that there is nothing. */
  empty?: ReactNode
  isEmpty?: (data: Data) => boolean
  children: (data: Data) => ReactNode
}

/** What a query brought, or why there is nothing to show. Data that was read once stays while it is read again. */
export function Loaded<Data>({ query, empty, isEmpty, children }: LoadedProps<Data>) {
  if (query.data === undefined) {
    if (query.error === null) return <PagePending />
    return (
      <PageFailure
        error={query.error}
        reset={() => {
          void query.refetch()
        }}
      />
    )
  }
  if (empty !== undefined && isEmpty?.(query.data) === true) return empty
  return children(query.data)
}
