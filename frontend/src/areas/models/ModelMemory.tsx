/** How much memory the model needs once it is loaded: by its file, and by what engines reported. */
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useModelMemory, type Memory } from '../../api/memory'
import type { Model } from '../../api/models'
import { Card, Empty } from '../../ui/Card'
import { bytes, count, share } from '../../ui/format'
import { MeasuredTable } from '../../ui/MeasuredTable'
import { Loaded } from '../../ui/PageState'
import classes from './ModelPage.module.css'

export function ModelMemory({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const memory = useModelMemory(model.id)
  return (
    <Card title={t('memory.title')}>
      <Loaded query={memory}>
        {(found) => (
          <div className={classes.rollouts}>
            <p>{t('memory.loadedAs', { tokens: count(found.context), slots: count(found.slots) })}</p>
            <Parts memory={found} />
            {found.measured.length === 0 ? (
              <Empty title={t('memory.never')}>{t('memory.neverText')}</Empty>
            ) : (
              <MeasuredTable
                rows={found.measured}
                first={t('node')}
                named={(row) => (
                  <Link to="/nodes/$nodeId" params={{ nodeId: row.node }}>
                    {row.node_name}
                  </Link>
                )}
              />
            )}
          </div>
        )}
      </Loaded>
    </Card>
  )
}

function Parts({ memory }: { memory: Memory }) {
  const { t } = useTranslation(['models', 'common'])
  return (
    <dl className={classes.facts}>
      <Part name={t('memory.expected')}>
        {memory.expected === null ? t('common:memory.notKnown') : bytes(memory.expected)}
      </Part>
      {memory.predicted === null ? (
        <Part name={t('memory.predicted')}>{t('memory.unknown', { why: memory.unknown })}</Part>
      ) : (
        <>
          <Part name={t('memory.predicted')}>{bytes(memory.predicted.total)}</Part>
          <Part name={t('memory.weights')}>{bytes(memory.predicted.weights)}</Part>
          <Part name={t('memory.cache', { type: memory.cache_type })}>{bytes(memory.predicted.cache)}</Part>
          <Part name={t('memory.buffers')}>{bytes(memory.predicted.buffers)}</Part>
          <Part name={t('memory.factor', { engine: memory.engine, architecture: memory.architecture })}>
            {share(memory.factor)}
          </Part>
        </>
      )}
    </dl>
  )
}

function Part({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
