/** A modal dialog. Not Mantine's ready-made one, whose `<header>` reads as a second page header. */
import { Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from './Dialog.module.css'

interface DialogProps {
  opened: boolean
  onClose: () => void
  title: string
  closeOnClickOutside?: boolean
  size?: 'md' | 'lg'
  children: ReactNode
}

export function Dialog({
  opened,
  onClose,
  title,
  closeOnClickOutside = true,
  size = 'md',
  children,
}: DialogProps) {
  return (
    <Modal.Root
      opened={opened}
      onClose={onClose}
      size={size}
      closeOnClickOutside={closeOnClickOutside}
      lockScroll={false} // locking injects a style element, which the Content-Security-Policy forbids
      centered
    >
      <Modal.Overlay backgroundOpacity={0.5} />
      <Modal.Content>
        <div className={classes.head}>
          <Modal.Title className={classes.title}>{title}</Modal.Title>
          <Modal.CloseButton aria-label="Close" />
        </div>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  )
}
