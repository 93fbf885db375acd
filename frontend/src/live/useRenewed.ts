/** What was read from the API under a topic's name is read again when the live topic tells something new. */
import { useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { useTopic } from './useLive'

export function useRenewed(topic: 'incidents' | 'jobs'): void {
  const queries = useQueryClient()
  const told = useTopic(topic)
  useEffect(() => {
    if (told !== null) void queries.invalidateQueries({ queryKey: [topic] })
  }, [told, topic, queries])
}
