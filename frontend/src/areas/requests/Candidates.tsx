/** The nodes that a request could have run on, best first, with what their scores are made of. */
import { Table } from '@mantine/core'
import type { TFunction } from 'i18next'
import { useTranslation } from 'react-i18next'
import type { Route } from '../../api/requests'
import { duration } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { ahead } from './reasons'
import { ScrollBox } from '../../ui/ScrollBox'
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
  const { t } = useTranslation('requests')
  const parts = [...new Set([...PARTS, ...candidates.flatMap((each) => Object.keys(each.parts))])].filter(
    (part) => candidates.some((each) => part in each.parts),
  )
  return (
    <ScrollBox label={t('candidates.table')}>
      <Table
        className={`${classes.table ?? ''} ${classes.wraps ?? ''}`}
        verticalSpacing={7}
        horizontalSpacing={8}
      >
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('column.node')}</Table.Th>
            <Table.Th>{t('candidates.aheadOfNext')}</Table.Th>
            <Table.Th className={classes.right}>{t('candidates.score')}</Table.Th>
            {parts.map((part) => (
              <Table.Th key={part} className={classes.right}>
                {nameOf(t, part)}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {candidates.map((candidate) => (
            <Table.Tr key={candidate.node}>
              <Table.Td data-label={t('column.node')} className={classes.strong}>
                {candidate.node_name}{' '}
                {candidate.node === chosen && <Tag tone="ok">{t('candidates.given')}</Tag>}
              </Table.Td>
              <Table.Td data-label={t('candidates.ahead')} className={classes.wide}>
                {ahead(t, candidate.reason)}
              </Table.Td>
              <Table.Td data-label={t('candidates.score')} className={classes.right}>
                {candidate.score.toFixed(3)}
              </Table.Td>
              {parts.map((part) => (
                <Table.Td key={part} data-label={nameOf(t, part)} className={classes.right}>
                  {shown(part, candidate.parts[part])}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollBox>
  )
}

/** `first_token_ms` → "First token"; a part that has no text here is named by its own words. */
function nameOf(t: TFunction<'requests'>, part: string): string {
  const words = part.replace(/_ms$/, '').replaceAll('_', ' ')
  return t(`part.${part as 'loaded'}`, { defaultValue: words.charAt(0).toUpperCase() + words.slice(1) })
}

function shown(part: string, value: number | undefined) {
  if (value === undefined) return <NoData />
  if (part.endsWith('_ms')) return value === 0 ? '0' : duration(value)
  return value.toFixed(2)
}
