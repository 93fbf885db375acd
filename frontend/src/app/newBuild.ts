/** A deploy takes the chunks of the build before away: a page that misses one is loaded again, once. */

const NAME = 'ollamamax.reloaded'
/** A second miss within this time is no deploy: then the error is shown. */
const PAUSE = 60_000

export function reloadOnceForNewBuild(): void {
  window.addEventListener('vite:preloadError', (event) => {
    if (mayReload(Date.now())) {
      event.preventDefault()
      window.location.reload()
    }
  })
}

/** Whether a page that misses a chunk at ``now`` (ms) is loaded again; it counts as done. */
export function mayReload(now: number): boolean {
  try {
    const before = Number(window.sessionStorage.getItem(NAME) ?? 0)
    if (now - before < PAUSE) return false
    window.sessionStorage.setItem(NAME, String(now))
    return true
  } catch {
    return false // without storage nothing would end it
  }
}
