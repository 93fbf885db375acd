/** A form in a dialog, with what went wrong above its buttons. */
import { Alert, Button } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Dialog } from '../Dialog'
import classes from './FormDialog.module.css'
import type { ApiForm } from './useApiForm'

interface FormDialogProps {
  opened: boolean
  onClose: () => void
  title: string
  /** What the button that sends it says: a verb. */
  action: string
  of: Pick<ApiForm<Record<string, unknown>>, 'failure' | 'pending' | 'onSubmit'>
  size?: 'md' | 'lg'
  children: ReactNode
}

export function FormDialog({ opened, onClose, title, action, of, size = 'md', children }: FormDialogProps) {
  const { t } = useTranslation()
  return (
    <Dialog opened={opened} onClose={onClose} title={title} size={size}>
      <form onSubmit={of.onSubmit} noValidate className={classes.form}>
        {children}
        {of.failure !== null && (
          <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
            {of.failure}
          </Alert>
        )}
        <div className={classes.buttons}>
          <Button variant="default" onClick={onClose}>
            {t('action.cancel')}
          </Button>
          <Button type="submit" loading={of.pending}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
