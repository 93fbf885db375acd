/** The nodes that a request could have run on, best first, with what their scores are made of. */
import { Table } from '@mantine/core'
import type { Route } from '../../api/requests'
import { duration } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { AHEAD } from './reasons'
import { Tag } from '../../ui/Tag'
import classes from './RequestTable.module.css'

/** In the order in which they are told; a part that is not here stands after these. */
const PARTS = [
  'loaded',
  'room',
  'prefix',
  'home',
  'own',
  'region',
  'wait_ms',
  'load_ms',
  'prompt_ms',
  'first_token_ms',
  'generation_ms',
  'harm_ms',
]

interface CandidatesProps {
  candidates: NonNullable<Route['candidates']>
  /** Id of the node that had it last. */
  chosen: string | null
}

export function Candidates({ candidates, chosen }: CandidatesProps) {
  const parts = [...new Set([...PARTS, ...candidates.flatMap((each) => Object.keys(each.parts))])].filter(
    (part) => candidates.some((each) => part in each.parts),
  )
  return (
    <div className={classes.scroll} tabIndex={0} role="region" aria-label="Table of the candidates">
      <Table className={classes.table} verticalSpacing={7} horizontalSpacing={14}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Node</Table.Th>
            <Table.Th>Ahead of the next by</Table.Th>
            <Table.Th className={classes.right}>Score</Table.Th>
            {parts.map((part) => (
              <Table.Th key={part} className={classes.right}>
                {nameOf(part)}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {candidates.map((candidate) => (
            <Table.Tr key={candidate.node}>
              <Table.Td data-label="Node" className={classes.strong}>
                {candidate.node_name} {candidate.node === chosen && <Tag tone="ok">given it</Tag>}
              </Table.Td>
              <Table.Td data-label="Ahead by" className={classes.wide}>
                {AHEAD[candidate.reason] ?? candidate.reason}
              </Table.Td>
              <Table.Td data-label="Score" className={classes.right}>
                {candidate.score.toFixed(3)}
              </Table.Td>
              {parts.map((part) => (
                <Table.Td key={part} data-label={nameOf(part)} className={classes.right}>
                  {shown(part, candidate.parts[part])}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  )
}

/** `first_token_ms` → "First token". */
function nameOf(part: string): string {
  const words = part.replace(/_ms$/, '').replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function shown(part: string, value: number | undefined) {
  if (value === undefined) return <NoData />
  if (part.endsWith('_ms')) return value === 0 ? '0' : duration(value)
  return value.toFixed(2)
}
