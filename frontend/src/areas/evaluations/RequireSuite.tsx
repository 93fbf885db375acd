/** The dialog that requires a score in a suite of every version that becomes production. */
import { NumberInput, Select } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useEvaluationActs, type SuiteListed } from '../../api/evaluations'
import { useModels } from '../../api/models'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function RequireSuite({ suite, onClose }: { suite: SuiteListed; onClose: () => void }) {
  const { t } = useTranslation('evaluations')
  const { require } = useEvaluationActs()
  const models = useModels()
  const names = [...new Set(models.rows?.map((each) => each.name.slice(0, each.name.lastIndexOf(':'))) ?? [])]
  const requiring = useApiForm({
    initial: { model: '', least_score: 90 },
    schema: z.object({ model: z.string(), least_score: z.number().min(1).max(100) }),
    send: (values) =>
      require.mutateAsync({
        suite: suite.id,
        model: values.model === '' ? null : values.model,
        least_score: values.least_score / 100,
      }),
    onDone: () => {
      done(t('nowRequired', { name: suite.name }))
      onClose()
    },
  })
  const { form } = requiring
  const model = form.getInputProps('model')
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('requireTitle', { name: suite.name })}
      action={t('require')}
      of={requiring}
    >
      <Select label={t('model')} placeholder={t('allModels')} searchable clearable data={names} {...model} />
      <NumberInput
        label={t('leastScore')}
        description={t('leastText')}
        min={1}
        max={100}
        suffix=" %"
        {...form.getInputProps('least_score')}
      />
    </FormDialog>
  )
}
