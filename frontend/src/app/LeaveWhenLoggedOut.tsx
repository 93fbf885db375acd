/** When the live connection is told that the session is over, the page goes to the log-in and comes back from there. */
import { useQueryClient } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useEffect } from 'react'
import { useLive } from '../live/useLive'
import { leave } from './queries'

export function LeaveWhenLoggedOut() {
  const { phase } = useLive()
  const queries = useQueryClient()
  const router = useRouter()
  useEffect(() => {
    if (phase === 'unauthenticated') void leave(queries, router)
  }, [phase, queries, router])
  return null
}
