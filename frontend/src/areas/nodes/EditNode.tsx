/** What routing goes by besides telemetry: a node's labels and taints, its region and what it costs. */
import { NumberInput, TagsInput, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { changeNode, useNodeChanged, type Node } from '../../api/nodes'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { EXAMPLE } from '../models/examples'
import { labelsOf, linesOf, TAINT } from '../models/labels'

interface Values extends Record<string, unknown> {
  region: string
  labels: string
  taints: string[]
  hourly_cost: number | string
}

export function EditNode({ node, onClose }: { node: Node; onClose: () => void }) {
  const { t } = useTranslation('nodes')
  const renew = useNodeChanged()
  const of = useApiForm<Values>({
    initial: {
      region: node.region,
      labels: linesOf(node.labels),
      taints: node.taints,
      hourly_cost: node.hourly_cost ?? '',
    },
    schema: z.object({
      region: z.string().regex(/^[a-z0-9-]{0,63}$/, t('regionForm')),
      labels: z.string().refine((text) => labelsOf(text) !== null, t('labelsForm')),
      taints: z.array(z.string().regex(TAINT, t('taintsForm'))),
    }),
    send: ({ region, labels, taints, hourly_cost: cost }) =>
      changeNode(node.id, {
        region,
        labels: labelsOf(labels) ?? {},
        taints,
        hourly_cost: cost === '' ? null : Number(cost),
      }),
    onDone: () => {
      renew()
      onClose()
      done(t('edited', { name: node.name }))
    },
  })
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('editTitle', { name: node.name })}
      action={t('save')}
      of={of}
    >
      <TextInput label={t('region')} description={t('regionText')} {...of.form.getInputProps('region')} />
      <TextInput
        label={t('labels')}
        description={t('labelsText')}
        placeholder={EXAMPLE.labels}
        {...of.form.getInputProps('labels')}
      />
      <TagsInput
        label={t('taints')}
        description={t('taintsText')}
        placeholder={EXAMPLE.taint}
        {...of.form.getInputProps('taints')}
      />
      <NumberInput
        label={t('cost')}
        description={t('costText')}
        min={0}
        {...of.form.getInputProps('hourly_cost')}
      />
    </FormDialog>
  )
}
