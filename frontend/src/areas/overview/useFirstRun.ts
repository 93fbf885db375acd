/** How far a new installation has come, told by what is measured of it: never by what somebody clicked. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { api, bodyOf } from '../../api/client'
import { useMay } from '../../api/session'
import { preference, usePreference } from '../../app/preferences'
import { useTopic } from '../../live/useLive'
import { useNodeRows } from '../nodes/useNodeRows'

export const STEPS = ['node', 'model', 'key', 'request'] as const
export type Step = (typeof STEPS)[number]

export interface FirstRun {
  /** `null` while it is not known, and for who does not set the installation up or has put the guide away. */
  done: ReadonlySet<Step> | null
  /** The first step that is not done; `null` when all are. */
  next: Step | null
  /** A model that a request can name. */
  model: string
  dismiss: () => void
}

const AGAIN = 3000

export function useFirstRun(): FirstRun {
  const manages = useMay('node.manage')
  const sees = useMayAll()
  const concerned = manages && sees
  const dismissed = usePreference('guide') === 'dismissed'
  const asks = concerned && !dismissed
  const nodes = useNodeRows()
  const ended = useTopic('requests')?.finished.some((each) => each.outcome === 'ok') ?? false
  const [begun, setBegun] = useState(false)
  const facts = useQuery({
    queryKey: ['first-run'],
    enabled: asks,
    // Once all is there nothing is asked again.
    refetchInterval: (query) => (query.state.data?.every(({ there }) => there) === true ? false : AGAIN),
    queryFn: async () => {
      const [models, keys, requests] = await Promise.all([
        api.GET('/api/v1/models', { params: { query: { limit: 1 } } }),
        api.GET('/api/v1/keys', { params: { query: { limit: 1 } } }),
        api.GET('/api/v1/requests', { params: { query: { limit: 1, outcome: ['ok'] } } }),
      ])
      const model = bodyOf(models).results[0]
      return [
        { step: 'model' as const, there: model !== undefined, name: model?.name ?? '' },
        { step: 'key' as const, there: bodyOf(keys).results.length > 0, name: '' },
        { step: 'request' as const, there: bodyOf(requests).results.length > 0, name: '' },
      ]
    },
  }).data
  const dismiss = () => {
    preference.set('guide', 'dismissed')
  }
  if (!asks || facts === undefined || nodes === undefined)
    return { done: null, next: null, model: '', dismiss }
  const done = new Set<Step>(facts.filter(({ there }) => there).map(({ step }) => step))
  if (nodes.length > 0) done.add('node')
  if (ended) done.add('request')
  const next = STEPS.find((step) => !done.has(step)) ?? null
  // Who saw it unfinished sees the last step ticked off, too; an installation that works is told nothing.
  if (next !== null && !begun) setBegun(true)
  const shown = next !== null || begun
  return { done: shown ? done : null, next, model: facts[0]?.name ?? '', dismiss }
}

function useMayAll(): boolean {
  const models = useMay('model.view')
  const keys = useMay('key.view')
  const requests = useMay('usage.view')
  return models && keys && requests
}
