/** How many replicas autoscaling wants of each model with an objective, and why; and what is expected of the models that are kept warm. */
import { Table } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Placement, ScalingDecision, Warmth } from '../../api/placement'
import { Card } from '../../ui/Card'
import { count, measure, share } from '../../ui/format'
import { ScrollBox } from '../../ui/ScrollBox'
import { Tag } from '../../ui/Tag'
import { nameOf } from './names'
import classes from './PlacementPage.module.css'

export function Autoscaling({ placement }: { placement: Placement }) {
  return (
    <>
      {placement.scaling.length > 0 && <Decisions decisions={placement.scaling} />}
      {placement.keep_warm && placement.warmth.length > 0 && <KeptWarm warmth={placement.warmth} />}
    </>
  )
}

function Decisions({ decisions }: { decisions: readonly ScalingDecision[] }) {
  const { t } = useTranslation('placement')
  return (
    <Card title={t('scaling')}>
      <ScrollBox label={t('scalingTable')} minWidth={720}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('model')}</Table.Th>
              <Table.Th ta="right">{t('wanted')}</Table.Th>
              <Table.Th ta="right">{t('replicas')}</Table.Th>
              <Table.Th ta="right">{t('demand')}</Table.Th>
              <Table.Th ta="right">{t('kept')}</Table.Th>
              <Table.Th>{t('why')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {decisions.map((each) => (
              <Table.Tr key={each.version}>
                <Table.Th scope="row">{nameOf(each)}</Table.Th>
                <Table.Td ta="right">
                  {each.wanted === null ? <Tag tone="plain">{t('noData')}</Tag> : count(each.wanted)}
                </Table.Td>
                <Table.Td ta="right">{count(each.replicas)}</Table.Td>
                <Table.Td ta="right">{each.load === null ? t('noData') : measure(each.load)}</Table.Td>
                <Table.Td ta="right">
                  {each.kept_percent === null ? t('noData') : share(each.kept_percent / 100)}
                </Table.Td>
                <Table.Td className={classes.reason}>{each.reason}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
    </Card>
  )
}

function KeptWarm({ warmth }: { warmth: readonly Warmth[] }) {
  const { t } = useTranslation('placement')
  return (
    <Card title={t('warmth')}>
      <ScrollBox label={t('warmthTable')} minWidth={480}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('model')}</Table.Th>
              <Table.Th ta="right">{t('expected')}</Table.Th>
              <Table.Th ta="right">{t('likely')}</Table.Th>
              <Table.Th ta="right">{t('replicas')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {warmth.map((each) => (
              <Table.Tr key={each.version}>
                <Table.Th scope="row">{nameOf(each)}</Table.Th>
                <Table.Td ta="right">
                  {each.expected_requests === null ? t('noData') : measure(each.expected_requests)}
                </Table.Td>
                <Table.Td ta="right">
                  {each.likely_percent === null ? t('noData') : share(each.likely_percent / 100)}
                </Table.Td>
                <Table.Td ta="right">{count(each.replicas)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
    </Card>
  )
}
