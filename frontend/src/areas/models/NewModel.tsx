/** A new model: pulled by its name, made of another one, of a GGUF file, or out of a bundle. What takes long is a job. */
import { Checkbox, SegmentedControl, Textarea, TextInput } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import type { Job } from '../../api/jobs'
import { createModel, pullModel, useModelsChanged } from '../../api/models'
import { Command } from '../../ui/Command'
import { Dialog } from '../../ui/Dialog'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { EXAMPLE } from './examples'
import { ImportBundle } from './ImportBundle'
import { parametersOf } from './parameters'

type Way = 'pull' | 'create' | 'file' | 'bundle'
const WAYS: readonly Way[] = ['pull', 'create', 'file', 'bundle']

interface Part {
  opened: boolean
  onClose: () => void
  /** The choice among the ways, which stands above each form. */
  choice: React.ReactNode
}

export function NewModel({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation('models')
  const [way, setWay] = useState<Way>('pull')
  // Side by side they are wider than a telephone.
  const narrow = useMediaQuery('(max-width: 36em)')
  const choice = (
    <SegmentedControl
      aria-label={t('newModel')}
      size="xs"
      orientation={narrow ? 'vertical' : 'horizontal'}
      data={WAYS.map((value) => ({ value, label: t(`way.${value}`) }))}
      value={way}
      onChange={setWay}
    />
  )
  const part = { opened, onClose, choice }
  if (way === 'pull') return <Pull {...part} />
  if (way === 'bundle') return <ImportBundle {...part} />
  return way === 'create' ? <Create {...part} /> : <File {...part} />
}

function useBegun(onClose: () => void) {
  const { t } = useTranslation('models')
  const renew = useModelsChanged()
  return (job: Job) => {
    renew()
    onClose()
    done(t('begun', { name: job.model }), { link: { to: '/jobs', label: t('showJobs') } })
  }
}

function Pull({ opened, onClose, choice }: Part) {
  const { t } = useTranslation('models')
  const begun = useBegun(onClose)
  const of = useApiForm({
    initial: { model: '', insecure: false },
    schema: z.object({ model: z.string().trim().min(1, t('nameNeeded')) }),
    send: pullModel,
    onDone: begun,
  })
  return (
    <FormDialog opened={opened} onClose={onClose} title={t('newModel')} action={t('way.pull')} of={of}>
      {choice}
      <TextInput
        label={t('name')}
        description={t('pullText')}
        placeholder={EXAMPLE.pull}
        data-autofocus
        {...of.form.getInputProps('model')}
      />
      <Checkbox label={t('insecure')} {...of.form.getInputProps('insecure', { type: 'checkbox' })} />
    </FormDialog>
  )
}

function Create({ opened, onClose, choice }: Part) {
  const { t } = useTranslation('models')
  const begun = useBegun(onClose)
  const of = useApiForm({
    initial: { model: '', from: '', system: '', template: '', parameters: '' },
    schema: z.object({
      model: z.string().trim().min(1, t('nameNeeded')),
      from: z.string().trim().min(1, t('nameNeeded')),
      parameters: z.string().refine((text) => parametersOf(text) !== null, t('parametersForm')),
    }),
    send: ({ model, from, system, template, parameters }) =>
      createModel({
        model,
        from,
        ...(system === '' ? {} : { system }),
        ...(template === '' ? {} : { template }),
        ...(parameters.trim() === '' ? {} : { parameters: parametersOf(parameters) ?? {} }),
      }),
    onDone: begun,
  })
  return (
    <FormDialog
      opened={opened}
      onClose={onClose}
      title={t('newModel')}
      action={t('way.create')}
      of={of}
      size="lg"
    >
      {choice}
      <TextInput label={t('newName')} placeholder={EXAMPLE.made} {...of.form.getInputProps('model')} />
      <TextInput label={t('from')} placeholder={EXAMPLE.from} {...of.form.getInputProps('from')} />
      <Textarea label={t('system')} autosize minRows={2} maxRows={8} {...of.form.getInputProps('system')} />
      <Textarea
        label={t('parameters')}
        description={t('parametersText')}
        placeholder={EXAMPLE.parameters}
        autosize
        minRows={2}
        maxRows={8}
        {...of.form.getInputProps('parameters')}
      />
      <Textarea
        label={t('template')}
        description={t('templateText')}
        autosize
        minRows={1}
        maxRows={8}
        {...of.form.getInputProps('template')}
      />
    </FormDialog>
  )
}

/** A file of gigabytes is sent by a program that can go on after a break, with a key. */
function File({ opened, onClose, choice }: Part) {
  const { t } = useTranslation('models')
  const { origin } = window.location
  return (
    <Dialog opened={opened} onClose={onClose} title={t('newModel')} size="lg">
      {choice}
      <p>{t('fileText')}</p>
      <Command label={t('fileDigest')} text={`DIGEST="sha256:$(sha256sum model.gguf | cut -d' ' -f1)"`} />
      <Command
        label={t('fileSend')}
        wrap
        text={`curl -T model.gguf -X POST -H "Authorization: Bearer $OLLAMAMAX_API_KEY" ${origin}/api/blobs/$DIGEST`}
      />
      <Command
        label={t('fileMake')}
        wrap
        text={`curl -H "Authorization: Bearer $OLLAMAMAX_API_KEY" ${origin}/api/v1/models/create -H "Content-Type: application/json" -d "{\\"model\\": \\"mine:latest\\", \\"files\\": {\\"model.gguf\\": \\"$DIGEST\\"}}"`}
      />
    </Dialog>
  )
}
