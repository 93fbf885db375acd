/** Every node with how it is, the worst first; absent until something is known. */
import { useMemo } from 'react'
import { ofNodes, useHealth } from '../../api/health'
import { useTopic } from '../../live/useLive'
import { rowsOf, type NodeListed } from './rows'

export function useNodeRows(): readonly NodeListed[] | undefined {
  const nodes = useTopic('nodes')
  const health = useHealth()
  const judged = health !== undefined && health.state !== 'unknown'
  const problems = useMemo(() => ofNodes(health), [health])
  return useMemo(
    () => (nodes === null ? undefined : rowsOf(nodes.rows.values(), problems, judged)),
    [nodes, problems, judged],
  )
}
