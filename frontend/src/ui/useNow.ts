/** The time of day (Unix seconds), renewed every few seconds: for ages that are told in seconds or longer. */
import { useEffect, useState } from 'react'

const RENEWED = 2_000

export function useNow(): number {
  const [now, setNow] = useState(() => Date.now() / 1000)
  useEffect(() => {
    const timer = window.setInterval(() => {
      setNow(Date.now() / 1000)
    }, RENEWED)
    return () => {
      window.clearInterval(timer)
    }
  }, [])
  return now
}
