/** How a model is served, for all of its names: changed in a form. */
import { NumberInput, Select, Switch, TagsInput, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { changeModel, useModelsChanged, type Model } from '../../api/models'
import type { components } from '../../api/schema'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { EXAMPLE } from './examples'
import { labelsOf, linesOf, TOLERATION } from './labels'

type Profile = components['schemas']['Profile']
const STRATEGIES = ['balanced', 'least_busy', 'round_robin', 'fastest', 'affinity', 'cheapest'] as const

interface Values extends Record<string, unknown> {
  strategy: string
  num_ctx: number | string
  num_gpu: number | string
  outside: string
  continue_streams: boolean
  first_byte_seconds: number | string
  regions: string[]
  labels: string
  tolerations: string[]
}

export function EditProfile({ model, onClose }: { model: Model; onClose: () => void }) {
  const { t } = useTranslation('models')
  const renew = useModelsChanged()
  const { profile } = model
  const of = useApiForm<Values>({
    initial: {
      strategy: profile.strategy ?? 'balanced',
      num_ctx: profile.num_ctx ?? '',
      num_gpu: profile.num_gpu ?? '',
      outside: profile.outside ?? 'refuse',
      continue_streams: profile.continue_streams ?? true,
      first_byte_seconds: profile.first_byte_seconds ?? 120,
      regions: profile.regions ?? [],
      labels: linesOf(profile.labels ?? {}),
      tolerations: profile.tolerations ?? [],
    },
    schema: z.object({
      labels: z.string().refine((text) => labelsOf(text) !== null, t('labelsForm')),
      tolerations: z.array(z.string().regex(TOLERATION, t('tolerationsForm'))),
    }),
    send: (values) =>
      changeModel(model.id, {
        profile: {
          ...values,
          num_ctx: values.num_ctx === '' ? null : Number(values.num_ctx),
          num_gpu: values.num_gpu === '' ? null : Number(values.num_gpu),
          first_byte_seconds: Number(values.first_byte_seconds),
          labels: labelsOf(values.labels) ?? {},
        } as Profile,
      }),
    onDone: () => {
      renew()
      onClose()
      done(t('served', { name: model.name }))
    },
  })
  const input = of.form.getInputProps
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('editTitle', { name: model.name })}
      action={t('editIt')}
      of={of}
      size="lg"
    >
      <Select
        label={t('strategy')}
        description={t('strategyText')}
        data={STRATEGIES.map((value) => ({ value, label: t(`strategies.${value}`) }))}
        allowDeselect={false}
        {...input('strategy')}
      />
      <NumberInput
        label={t('context')}
        description={t('contextText')}
        min={4}
        allowDecimal={false}
        {...input('num_ctx')}
      />
      <NumberInput
        label={t('gpuLayers')}
        description={t('gpuLayersText')}
        min={0}
        allowDecimal={false}
        {...input('num_gpu')}
      />
      <Select
        label={t('outside')}
        data={[
          { value: 'refuse', label: t('outsideRefuse') },
          { value: 'route', label: t('outsideRoute') },
        ]}
        allowDeselect={false}
        {...input('outside')}
      />
      <NumberInput
        label={t('firstByte')}
        description={t('firstByteText')}
        min={1}
        max={3600}
        suffix=" s"
        {...input('first_byte_seconds')}
      />
      <Switch label={t('continueStreams')} {...input('continue_streams', { type: 'checkbox' })} />
      <TagsInput label={t('regions')} description={t('regionsText')} {...input('regions')} />
      <TextInput
        label={t('labels')}
        description={t('labelsText')}
        placeholder={EXAMPLE.labels}
        {...input('labels')}
      />
      <TagsInput
        label={t('tolerations')}
        description={t('tolerationsText')}
        placeholder={EXAMPLE.toleration}
        {...input('tolerations')}
      />
    </FormDialog>
  )
}
