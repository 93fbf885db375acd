/** A modal dialog. Not Mantine's ready-made one, whose `<header>` reads as a second page header. */
import { Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import classes from './Dialog.module.css'

interface DialogProps {
  opened: boolean
  onClose: () => void
  title: string
  closeOnClickOutside?: boolean
  /** Whether only a button in it ends it: neither Escape nor the cross, for what would be lost. */
  held?: boolean
  size?: 'md' | 'lg'
  children: ReactNode
}

export function Dialog({
  opened,
  onClose,
  title,
  closeOnClickOutside = true,
  held = false,
  size = 'md',
  children,
}: DialogProps) {
  const { t } = useTranslation()
  return (
    <Modal.Root
      opened={opened}
      onClose={onClose}
      size={size}
      closeOnClickOutside={closeOnClickOutside && !held}
      closeOnEscape={!held}
      lockScroll={false} // locking injects a style element, which the Content-Security-Policy forbids
      centered
    >
      <Modal.Overlay backgroundOpacity={0.5} />
      <Modal.Content>
        <div className={classes.head}>
          <Modal.Title className={classes.title}>{title}</Modal.Title>
          {!held && <Modal.CloseButton aria-label={t('action.close')} />}
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  )
}
