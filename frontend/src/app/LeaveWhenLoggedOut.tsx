/** When the live connection is told that the session is over, the page goes to the log-in and comes back from there. */
import { useIsMutating, useQueryClient } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useEffect } from 'react'
import { CHANGE_PASSWORD } from '../api/account'
import { sessionQuery } from '../api/session'
import { useLive, useStore } from '../live/useLive'
import { leave } from './queries'

export function LeaveWhenLoggedOut() {
  const { phase } = useLive()
  const store = useStore()
  const queries = useQueryClient()
  const router = useRouter()
  const changing = useIsMutating({ mutationKey: CHANGE_PASSWORD }) > 0
  useEffect(() => {
    if (phase !== 'unauthenticated' || changing) return
    const goOn = async () => {
      // The session may go on under another id, as when its password was changed.
      const session = await queries.query({ ...sessionQuery, staleTime: 0 }).catch(() => null)
      if (session?.user == null) await leave(queries, router)
      else store.start()
    }
    void goOn()
  }, [phase, changing, store, queries, router])
  return null
}
