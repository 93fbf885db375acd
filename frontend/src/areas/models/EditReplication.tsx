/** How many copies of a model there are, where, and how fast they come: changed in a form. */
import { Checkbox, NumberInput, TagsInput, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import type { Model } from '../../api/models'
import { setTerms, type Terms } from '../../api/replication'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { EXAMPLE } from './examples'
import { labelsOf, linesOf } from './labels'
import { minutesOf, timeOf } from './minutes'

const MEGABYTE = 1_000_000

interface Values extends Record<string, unknown> {
  least: number | string
  most: number | string
  regions: string[]
  labels: string
  spread: string
  priority: number | string
  least_loaded: number | string
  most_loaded: number | string
  pinned: boolean
  bytes_per_second: number | string
  window_from: string
  window_until: string
}

export function EditReplication({
  model,
  terms,
  onClose,
}: {
  model: Model
  terms: Terms
  onClose: () => void
}) {
  const { t } = useTranslation('models')
  const queries = useQueryClient()
  const time = z
    .string()
    .refine((text) => text.trim() === '' || minutesOf(text) !== null, t('replication.timeForm'))
  const of = useApiForm<Values>({
    initial: {
      least: terms.least ?? '',
      most: terms.most ?? '',
      regions: terms.regions ?? [],
      labels: linesOf(terms.labels ?? {}),
      spread: terms.spread,
      priority: terms.priority,
      least_loaded: terms.least_loaded ?? '',
      most_loaded: terms.most_loaded ?? '',
      pinned: terms.pinned,
      bytes_per_second: terms.bytes_per_second == null ? '' : terms.bytes_per_second / MEGABYTE,
      window_from: terms.window_from == null ? '' : timeOf(terms.window_from),
      window_until: terms.window_until == null ? '' : timeOf(terms.window_until),
    },
    schema: z.object({
      labels: z.string().refine((text) => labelsOf(text) !== null, t('labelsForm')),
      window_from: time,
      window_until: time,
    }),
    send: (values) => {
      const speed = whole(values.bytes_per_second)
      return setTerms(model.id, {
        ...terms,
        least: whole(values.least),
        most: whole(values.most),
        regions: values.regions,
        labels: labelsOf(values.labels) ?? {},
        spread: values.spread.trim(),
        priority: Number(values.priority),
        least_loaded: whole(values.least_loaded),
        most_loaded: whole(values.most_loaded),
        pinned: values.pinned,
        bytes_per_second: speed === null ? null : Math.round(speed * MEGABYTE),
        window_from: minutesOf(values.window_from),
        window_until: minutesOf(values.window_until),
      })
    },
    onDone: () => {
      void queries.invalidateQueries({ queryKey: ['model', model.id] })
      onClose()
      done(t('replication.changed', { name: model.name }))
    },
  })
  const input = of.form.getInputProps
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('replication.editTitle', { name: model.name })}
      action={t('editIt')}
      of={of}
      size="lg"
    >
      <NumberInput
        label={t('replication.least')}
        description={t('replication.leastText')}
        min={0}
        allowDecimal={false}
        {...input('least')}
      />
      <NumberInput
        label={t('replication.most')}
        description={t('replication.mostText')}
        min={0}
        allowDecimal={false}
        {...input('most')}
      />
      <TagsInput label={t('regions')} description={t('replication.regionsText')} {...input('regions')} />
      <TextInput
        label={t('labels')}
        description={t('replication.labelsText')}
        placeholder={EXAMPLE.labels}
        {...input('labels')}
      />
      <TextInput
        label={t('replication.spread')}
        description={t('replication.spreadText')}
        maxLength={63}
        {...input('spread')}
      />
      <NumberInput
        label={t('replication.priority')}
        description={t('replication.priorityText')}
        min={-100}
        max={100}
        allowDecimal={false}
        {...input('priority')}
      />
      <NumberInput
        label={t('replication.leastLoaded')}
        description={t('replication.leastLoadedText')}
        min={0}
        allowDecimal={false}
        {...input('least_loaded')}
      />
      <NumberInput
        label={t('replication.mostLoaded')}
        description={t('replication.mostLoadedText')}
        min={0}
        allowDecimal={false}
        {...input('most_loaded')}
      />
      <Checkbox
        label={t('replication.pinned')}
        description={t('replication.pinnedText')}
        {...of.form.getInputProps('pinned', { type: 'checkbox' })}
      />
      <NumberInput
        label={t('replication.speed')}
        description={t('replication.speedText')}
        min={0.1}
        suffix=" MB/s"
        {...input('bytes_per_second')}
      />
      <TextInput
        label={t('replication.from')}
        description={t('replication.windowText')}
        placeholder={EXAMPLE.time}
        {...input('window_from')}
      />
      <TextInput label={t('replication.until')} placeholder={EXAMPLE.timeUntil} {...input('window_until')} />
    </FormDialog>
  )
}

const whole = (value: number | string): number | null => (value === '' ? null : Number(value))
