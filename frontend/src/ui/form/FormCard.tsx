/** A form that stands in its page, with what went wrong and a button to save; whoever may not save only reads it. */
import { Alert, Button } from '@mantine/core'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Card } from '../Card'
import classes from './FormCard.module.css'
import type { ApiForm } from './useApiForm'

interface Props<Values extends Record<string, unknown>> {
  title: string
  of: ApiForm<Values>
  mayChange: boolean
  children: ReactNode
}

export function FormCard<Values extends Record<string, unknown>>({
  title,
  of,
  mayChange,
  children,
}: Props<Values>) {
  const { t } = useTranslation()
  return (
    <Card title={title}>
      <form onSubmit={of.onSubmit} noValidate>
        <fieldset disabled={!mayChange} className={classes.fields}>
          {children}
          {of.failure !== null && (
            <Alert color="red" variant="light" role="alert">
              {of.failure}
            </Alert>
          )}
          {mayChange && (
            <Button type="submit" loading={of.pending} className={classes.save}>
              {t('action.save')}
            </Button>
          )}
        </fieldset>
      </form>
    </Card>
  )
}
