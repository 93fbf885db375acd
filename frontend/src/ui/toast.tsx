/** Notices of what was done, with a way to the thing or back, and of what failed. */
import { Anchor, Group } from '@mantine/core'
import { notifications } from '@mantine/notifications'
import { IconAlertTriangle, IconCheck } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import i18next from 'i18next'
import { sentence } from '../api/client'

interface More {
  link?: { to: string; params?: Record<string, string>; label: string }
  undo?: { label: string; run: () => void }
}

export function done(message: string, { link, undo }: More = {}): void {
  const id = notifications.show({
    color: 'green',
    icon: <IconCheck size={18} />,
    withBorder: true,
    closeButtonProps: { 'aria-label': i18next.t('action.close') },
    message: (
      <Group justify="space-between" gap="md">
        <span>{message}</span>
        {link !== undefined && (
          <Anchor
            renderRoot={(props) => <Link {...props} {...(link as { to: string })} />}
            size="sm"
            onClick={() => notifications.hide(id)}
          >
            {link.label}
          </Anchor>
        )}
        {undo !== undefined && (
          <Anchor
            component="button"
            type="button"
            size="sm"
            onClick={() => {
              notifications.hide(id)
              undo.run()
            }}
          >
            {undo.label}
          </Anchor>
        )}
      </Group>
    ),
  })
}

/** It stays until it is closed: whoever looked elsewhere still learns of it. */
export function failed(error: unknown): void {
  notifications.show({
    color: 'red',
    icon: <IconAlertTriangle size={18} />,
    withBorder: true,
    closeButtonProps: { 'aria-label': i18next.t('action.close') },
    message: sentence(error),
    autoClose: false,
  })
}
