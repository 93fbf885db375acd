/** What is decided about copies of the model, and how many of each version there are. */
import { Button, Group, Table } from '@mantine/core'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Model } from '../../api/models'
import { dropTerms, useReplication, type CopiesOfVersion, type Terms } from '../../api/replication'
import { useMay } from '../../api/session'
import { Card } from '../../ui/Card'
import { count, rate } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import { ScrollBox } from '../../ui/ScrollBox'
import { Tag } from '../../ui/Tag'
import { EditReplication } from './EditReplication'
import { linesOf } from './labels'
import { timeOf } from './minutes'
import classes from './ModelPage.module.css'
import { useActs } from './useActs'

export function Replication({ model }: { model: Model }) {
  const { t, act } = useActs(model)
  const replication = useReplication(model.id)
  const mayManage = useMay('model.manage')
  const [editing, setEditing] = useState(false)
  const drop = () =>
    act(
      {
        title: t('replication.dropTitle', { name: model.name }),
        consequence: t('replication.dropText'),
        action: t('replication.drop'),
      },
      () => dropTerms(model.id),
    )
  return (
    <Card title={t('replication.title')}>
      <Loaded query={replication}>
        {(found) => (
          <div className={classes.rollouts}>
            <Said terms={found.terms} own={found.own} />
            {found.copies.length > 0 && <Copies copies={found.copies} />}
            {mayManage && (
              <Group gap={8}>
                <Button
                  size="compact-sm"
                  variant="default"
                  onClick={() => {
                    setEditing(true)
                  }}
                >
                  {t('edit')}
                </Button>
                {found.own && (
                  <Button size="compact-sm" variant="default" onClick={() => void drop()}>
                    {t('replication.drop')}
                  </Button>
                )}
              </Group>
            )}
            {editing && (
              <EditReplication
                model={model}
                terms={found.terms}
                onClose={() => {
                  setEditing(false)
                }}
              />
            )}
          </div>
        )}
      </Loaded>
    </Card>
  )
}

function Said({ terms, own }: { terms: Terms; own: boolean }) {
  const { t } = useTranslation('models')
  const window =
    terms.window_from == null || terms.window_until == null
      ? t('replication.always')
      : t('replication.window', { from: timeOf(terms.window_from), until: timeOf(terms.window_until) })
  return (
    <dl className={classes.facts}>
      <Fact name={t('replication.terms')}>{t(own ? 'replication.own' : 'replication.general')}</Fact>
      <Fact name={t('replication.least')}>
        {terms.least == null ? t('replication.everyNode') : count(terms.least)}
      </Fact>
      <Fact name={t('replication.most')}>
        {terms.most == null ? t('replication.noBound') : count(terms.most)}
      </Fact>
      <Fact name={t('regions')}>{(terms.regions ?? []).join(', ') || t('anywhere')}</Fact>
      <Fact name={t('labels')}>{linesOf(terms.labels ?? {}) || t('anyNode')}</Fact>
      <Fact name={t('replication.spread')}>{terms.spread || '–'}</Fact>
      <Fact name={t('replication.priority')}>{count(terms.priority)}</Fact>
      <Fact name={t('replication.inMemory')}>
        {t('replication.loadedRange', {
          least: count(terms.least_loaded ?? 0),
          most: terms.most_loaded == null ? t('replication.noBound') : count(terms.most_loaded),
        })}
        {terms.pinned && <Tag tone="plain">{t('replication.pinned')}</Tag>}
      </Fact>
      <Fact name={t('replication.speed')}>
        {terms.bytes_per_second == null ? t('replication.noBound') : rate(terms.bytes_per_second)}
      </Fact>
      <Fact name={t('replication.when')}>{window}</Fact>
    </dl>
  )
}

function Copies({ copies }: { copies: readonly CopiesOfVersion[] }) {
  const { t } = useTranslation('models')
  return (
    <ScrollBox label={t('replication.table')} minWidth={480}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('version')}</Table.Th>
            <Table.Th ta="right">{t('desired')}</Table.Th>
            <Table.Th ta="right">{t('replica.ready')}</Table.Th>
            <Table.Th ta="right">{t('replication.coming')}</Table.Th>
            <Table.Th ta="right">{t('replica.failed')}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {copies.map((each) => (
            <Table.Tr key={each.version}>
              <Table.Th scope="row">
                <span className={classes.named}>
                  <code className={classes.code}>{each.version.slice(7, 19)}</code>
                  {each.shortage !== '' && <Tag tone="bad">{each.shortage}</Tag>}
                </span>
              </Table.Th>
              <Table.Td ta="right">{count(each.wanted)}</Table.Td>
              <Table.Td ta="right">{count(each.ready)}</Table.Td>
              <Table.Td ta="right">{count(each.coming)}</Table.Td>
              <Table.Td ta="right">{count(each.failed)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollBox>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
