/** What every address has: notices, questions that want an answer, and the page. */
import { Notifications } from '@mantine/notifications'
import { Outlet } from '@tanstack/react-router'
import { Confirmation } from '../ui/confirm'
import { ConfirmIdentity } from './ConfirmIdentity'

export function Root() {
  return (
    <>
      <Notifications position="bottom-right" />
      <Confirmation />
      <ConfirmIdentity />
      <Outlet />
    </>
  )
}
