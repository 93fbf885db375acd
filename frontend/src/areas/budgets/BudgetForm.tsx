/** Sets a budget, or changes one. */
import { Checkbox, NumberInput, Select } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import {
  BUDGET_PERIODS,
  UNITS,
  useBudgetActs,
  useSubjects,
  WHOSE,
  type Budget,
  type BudgetCreate,
} from '../../api/budgets'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function BudgetForm({ budget, onClose }: { budget: Budget | null; onClose: () => void }) {
  const { t } = useTranslation('budgets')
  const { create, change } = useBudgetActs()
  const initial: {
    whose: BudgetCreate['whose']
    subject: string
    unit: BudgetCreate['unit']
    period: BudgetCreate['period']
    most: number | ''
    hard: boolean
    warn_percent: number | ''
  } = {
    whose: 'tenant',
    subject: '',
    unit: 'tokens',
    period: 'month',
    most: budget?.most ?? '',
    hard: budget?.hard ?? true,
    warn_percent: budget?.warn_percent ?? 80,
  }
  const editing = useApiForm({
    initial,
    schema: z
      .object({
        whose: z.string(),
        subject: z.string(),
        most: z.number(t('mostNeeded')).positive(t('mostNeeded')),
        warn_percent: z
          .number(t('warnBounds'))
          .int(t('warnBounds'))
          .min(1, t('warnBounds'))
          .max(100, t('warnBounds')),
      })
      .refine((values) => budget !== null || values.whose === 'tenant' || values.subject !== '', {
        path: ['subject'],
        message: t('subjectNeeded'),
      }),
    send: async ({ whose, subject, unit, period, most, hard, warn_percent }) => {
      const body = { most: String(most), hard, warn_percent: Number(warn_percent) }
      if (budget !== null) await change.mutateAsync({ id: budget.id, ...body })
      else {
        await create.mutateAsync({ whose, unit, period, ...body, ...(whose === 'tenant' ? {} : { subject }) })
      }
    },
    onDone: () => {
      done(t('saved'))
      onClose()
    },
  })
  const { form } = editing
  const { whose } = form.values
  const subjects = useSubjects(whose)
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={budget === null ? t('new') : t('change')}
      action={t('save')}
      of={editing}
    >
      {budget === null && (
        <>
          <Select
            label={t('of')}
            allowDeselect={false}
            data={WHOSE.map((value) => ({ value, label: t(`whose.${value}`) }))}
            value={whose}
            onChange={(value) => {
              form.setValues({ whose: WHOSE.find((each) => each === value) ?? 'tenant', subject: '' })
            }}
          />
          {whose !== 'tenant' && (
            <Select
              label={t(`whose.${whose}`)}
              searchable
              data={subjects.data ?? []}
              {...form.getInputProps('subject')}
            />
          )}
          <Select
            label={t('unitLabel')}
            allowDeselect={false}
            data={UNITS.map((value) => ({ value, label: t(`unit.${value}`) }))}
            {...form.getInputProps('unit')}
          />
          <Select
            label={t('period')}
            description={t('periodHelp')}
            allowDeselect={false}
            data={BUDGET_PERIODS.map((value) => ({ value, label: t(`each.${value}`) }))}
            {...form.getInputProps('period')}
          />
        </>
      )}
      <NumberInput label={t('most')} min={0} thousandSeparator=" " {...form.getInputProps('most')} />
      <Checkbox
        label={t('hardLabel')}
        description={t('hardHelp')}
        {...form.getInputProps('hard', { type: 'checkbox' })}
      />
      <NumberInput label={t('warn')} min={1} max={100} suffix=" %" {...form.getInputProps('warn_percent')} />
    </FormDialog>
  )
}
