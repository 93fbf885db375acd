/** The plan of which models should be in the memory of which nodes, to be looked at and applied: its steps, what is short, and each node before and after. */
import { Table } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { usePlacement, type Placement, type PlacementStep } from '../../api/placement'
import { Card, Empty } from '../../ui/Card'
import { bytes, count, dateTime, measure } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { ScrollBox } from '../../ui/ScrollBox'
import { Tile } from '../../ui/Tile'
import { Autoscaling } from './Autoscaling'
import { nameOf } from './names'
import { PlacementActs } from './PlacementActs'
import { PlacementNodes } from './PlacementNodes'
import classes from './PlacementPage.module.css'

export function PlacementPage() {
  const { t } = useTranslation('placement')
  const placement = usePlacement()
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={placement.data && <PlacementActs placement={placement.data} />}
    >
      <Loaded query={placement}>
        {(found) => (
          <>
            <div className={classes.tiles}>
              <Tile name={t('steps')} value={count(found.steps.length)} />
              <Tile name={t('cost')} value={bytes(found.cost_bytes)} />
              <Tile name={t('short')} value={count(found.shortages.length)} />
              <Tile name={t('exposed')} value={count(found.exposed.length)} />
            </div>
            <Card title={t('steps')} aside={dateTime(found.planned_at)}>
              {found.steps.length === 0 ? <Empty title={t('nothing')} /> : <Steps steps={found.steps} />}
            </Card>
            <Autoscaling placement={found} />
            {found.shortages.length > 0 && <Shortages placement={found} />}
            {found.exposed.length > 0 && (
              <Card title={t('exposedTitle')}>
                <ul className={classes.list}>
                  {found.exposed.map((each) => (
                    <li key={each.version}>
                      {t('exposedText', { model: nameOf(each), node: each.node_name })}
                    </li>
                  ))}
                </ul>
              </Card>
            )}
            <Card title={t('nodes')}>
              <PlacementNodes nodes={found.nodes} />
            </Card>
          </>
        )}
      </Loaded>
    </Page>
  )
}

function Steps({ steps }: { steps: readonly PlacementStep[] }) {
  const { t } = useTranslation('placement')
  return (
    <ScrollBox label={t('stepsTable')} minWidth={640}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('what')}</Table.Th>
            <Table.Th>{t('model')}</Table.Th>
            <Table.Th>{t('node')}</Table.Th>
            <Table.Th ta="right">{t('size')}</Table.Th>
            <Table.Th>{t('why')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {steps.map((step) => (
            <Table.Tr key={`${step.verb} ${step.node} ${step.version}`}>
              <Table.Td>{t(`verb.${step.verb}`)}</Table.Td>
              <Table.Th scope="row">{nameOf(step)}</Table.Th>
              <Table.Td>
                <Link to="/nodes/$nodeId" params={{ nodeId: step.node }}>
                  {step.source === null
                    ? step.node_name
                    : t('from', { node: step.node_name, source: step.source_name })}
                </Link>
              </Table.Td>
              <Table.Td ta="right">{bytes(step.bytes)}</Table.Td>
              <Table.Td>{step.reason}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollBox>
  )
}

function Shortages({ placement }: { placement: Placement }) {
  const { t } = useTranslation('placement')
  return (
    <Card title={t('shortTitle')}>
      <ScrollBox label={t('shortTable')} minWidth={560}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('model')}</Table.Th>
              <Table.Th ta="right">{t('demand')}</Table.Th>
              <Table.Th ta="right">{t('replicas')}</Table.Th>
              <Table.Th ta="right">{t('slots')}</Table.Th>
              <Table.Th>{t('why')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {placement.shortages.map((each) => (
              <Table.Tr key={each.version}>
                <Table.Th scope="row">{nameOf(each)}</Table.Th>
                <Table.Td ta="right">{measure(each.demand)}</Table.Td>
                <Table.Td ta="right">{count(each.replicas)}</Table.Td>
                <Table.Td ta="right">{count(each.slots)}</Table.Td>
                <Table.Td>{each.why}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
    </Card>
  )
}
