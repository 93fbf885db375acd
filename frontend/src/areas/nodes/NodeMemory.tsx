/** What models took in this node's memory when they were loaded, beside what was predicted. */
import { useTranslation } from 'react-i18next'
import { useNodeMemory } from '../../api/memory'
import { Card, Empty } from '../../ui/Card'
import { MeasuredTable } from '../../ui/MeasuredTable'
import { Loaded } from '../../ui/PageState'

export function NodeMemory({ id }: { id: string }) {
  const { t } = useTranslation('nodes')
  const memory = useNodeMemory(id)
  return (
    <Card title={t('modelMemory.title')}>
      <Loaded query={memory}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title={t('modelMemory.never')} />
          ) : (
            <MeasuredTable
              rows={rows}
              first={t('modelMemory.model')}
              named={(row) => row.model || row.version.slice(7, 19)}
            />
          )
        }
      </Loaded>
    </Card>
  )
}
