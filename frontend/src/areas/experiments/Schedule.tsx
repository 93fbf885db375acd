/** Has an experiment run again and again, or only when somebody asks. */
import { NumberInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useExperimentActs, type Experiment } from '../../api/experiments'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function Schedule({ experiment, onClose }: { experiment: Experiment; onClose: () => void }) {
  const { t } = useTranslation('experiments')
  const { schedule } = useExperimentActs()
  const initial: { every_hours: number | '' } = { every_hours: experiment.every_hours ?? '' }
  const editing = useApiForm({
    initial,
    schema: z.object({
      every_hours: z.union([z.literal(''), z.number().int().min(1).max(8784)], t('hoursBounds')),
    }),
    send: ({ every_hours }) =>
      schedule.mutateAsync({ id: experiment.id, hours: every_hours === '' ? null : every_hours }),
    onDone: () => {
      done(t('scheduled'))
      onClose()
    },
  })
  return (
    <FormDialog opened onClose={onClose} title={t('schedule')} action={t('save')} of={editing}>
      <NumberInput
        label={t('hours')}
        description={t('hoursHelp')}
        min={1}
        max={8784}
        allowDecimal={false}
        {...editing.form.getInputProps('every_hours')}
      />
    </FormDialog>
  )
}
