/** The objective that the number of a model's replicas in memory follows: changed in a form. The other terms stay as they are. */
import { NumberInput, Textarea } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import type { Model } from '../../api/models'
import { setTerms, type Terms } from '../../api/replication'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { EXAMPLE } from './examples'
import { schedulesOf, schedulesText } from './schedules'

interface Values extends Record<string, unknown> {
  queue_wait_ms: number | string
  first_token_ms: number | string
  share: number | string
  cool_down_seconds: number | string
  zero_after_seconds: number | string
  schedules: string
}

export function EditScaling({ model, terms, onClose }: { model: Model; terms: Terms; onClose: () => void }) {
  const { t } = useTranslation('models')
  const queries = useQueryClient()
  const { scaling } = terms
  const of = useApiForm<Values>({
    initial: {
      queue_wait_ms: scaling?.queue_wait_ms ?? '',
      first_token_ms: scaling?.first_token_ms ?? '',
      share: scaling?.share ?? 95,
      cool_down_seconds: scaling?.cool_down_seconds ?? 600,
      zero_after_seconds: scaling == null ? 600 : (scaling.zero_after_seconds ?? ''),
      schedules: schedulesText(scaling?.schedules ?? []),
    },
    schema: z.object({
      schedules: z.string().refine((text) => schedulesOf(text) !== null, t('scaling.schedulesForm')),
    }),
    send: (values) =>
      setTerms(model.id, {
        ...terms,
        scaling: {
          queue_wait_ms: whole(values.queue_wait_ms),
          first_token_ms: whole(values.first_token_ms),
          share: Number(values.share),
          cool_down_seconds: Number(values.cool_down_seconds),
          zero_after_seconds: whole(values.zero_after_seconds),
          schedules: schedulesOf(values.schedules) ?? [],
        },
      }),
    onDone: () => {
      void queries.invalidateQueries({ queryKey: ['model', model.id] })
      onClose()
      done(t('scaling.changed', { name: model.name }))
    },
  })
  const input = of.form.getInputProps
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('scaling.editTitle', { name: model.name })}
      action={t('editIt')}
      of={of}
      size="lg"
    >
      <NumberInput
        label={t('scaling.wait')}
        description={t('scaling.waitText')}
        min={50}
        suffix=" ms"
        allowDecimal={false}
        {...input('queue_wait_ms')}
      />
      <NumberInput
        label={t('scaling.firstToken')}
        description={t('scaling.firstTokenText')}
        min={50}
        suffix=" ms"
        allowDecimal={false}
        {...input('first_token_ms')}
      />
      <NumberInput
        label={t('scaling.share')}
        min={50}
        max={99}
        suffix=" %"
        allowDecimal={false}
        {...input('share')}
      />
      <NumberInput
        label={t('scaling.coolDown')}
        description={t('scaling.coolDownText')}
        min={60}
        suffix=" s"
        allowDecimal={false}
        {...input('cool_down_seconds')}
      />
      <NumberInput
        label={t('scaling.zeroAfter')}
        description={t('scaling.zeroAfterText')}
        min={60}
        suffix=" s"
        allowDecimal={false}
        {...input('zero_after_seconds')}
      />
      <Textarea
        label={t('scaling.schedules')}
        description={t('scaling.schedulesText')}
        placeholder={EXAMPLE.schedule}
        autosize
        minRows={2}
        {...input('schedules')}
      />
    </FormDialog>
  )
}

const whole = (value: number | string): number | null => (value === '' ? null : Number(value))
