/** What a link holds after `#`, which no server gets. For whoever logs in meanwhile it is kept as long as the tab is open. */
import { useState } from 'react'

const KEPT = 'ollamamax.link'

export function useLinkToken(): string {
  const [token] = useState(() => {
    const given = window.location.hash.slice(1)
    try {
      if (given !== '') window.sessionStorage.setItem(KEPT, given)
      return given === '' ? (window.sessionStorage.getItem(KEPT) ?? '') : given
    } catch {
      return given // storage may be forbidden
    }
  })
  return token
}
