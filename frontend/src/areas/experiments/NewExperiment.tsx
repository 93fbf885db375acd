/** Describes a chaos experiment. Nothing breaks before it is run. */
import { MultiSelect, NumberInput, Select, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { FAULTS, useExperimentActs, useHosts, type Fault } from '../../api/experiments'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function NewExperiment({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('experiments')
  const { create } = useExperimentActs()
  const hosts = useHosts()
  const initial: {
    name: string
    fault: Fault
    nodes: string[]
    at_once: number | ''
    milliseconds: number | ''
    seconds: number | ''
    repeats: number | ''
    control: 'phases' | 'nodes'
    control_nodes: string[]
    failed_percent: number | ''
    first_token_p95_ms: number | ''
    recovery_seconds: number | ''
    abort_percent: number | ''
    every_hours: number | ''
  } = {
    name: '',
    fault: 'engine_freeze',
    nodes: [],
    at_once: 1,
    milliseconds: 200,
    seconds: 30,
    repeats: 3,
    control: 'phases',
    control_nodes: [],
    failed_percent: 1,
    first_token_p95_ms: '',
    recovery_seconds: 30,
    abort_percent: 20,
    every_hours: '',
  }
  const optional = z.union([z.literal(''), z.number().min(0)])
  const editing = useApiForm({
    initial,
    schema: z
      .object({
        name: z.string().min(1, t('nameNeeded')).max(100, t('nameNeeded')),
        nodes: z.array(z.string()).min(1, t('nodesNeeded')),
        at_once: z.number(t('numberNeeded')).int().min(1),
        seconds: z.number(t('secondsBounds')).min(5, t('secondsBounds')).max(300, t('secondsBounds')),
        repeats: z.number(t('repeatsBounds')).int().min(1, t('repeatsBounds')).max(20, t('repeatsBounds')),
        failed_percent: optional,
        first_token_p95_ms: optional,
        recovery_seconds: optional,
        abort_percent: z.number(t('numberNeeded')).min(0).max(100),
      })
      .refine(
        (values) =>
          [values.failed_percent, values.first_token_p95_ms, values.recovery_seconds].some(
            (each) => each !== '',
          ),
        { path: ['failed_percent'], message: t('boundNeeded') },
      ),
    send: (values) =>
      create.mutateAsync({
        name: values.name,
        fault: values.fault,
        nodes: values.nodes,
        at_once: Number(values.at_once),
        milliseconds: values.fault === 'slow_answers' ? Number(values.milliseconds) : 0,
        seconds: Number(values.seconds),
        repeats: Number(values.repeats),
        control: values.control,
        control_nodes: values.control === 'nodes' ? values.control_nodes : [],
        hypothesis: {
          failed_share: values.failed_percent === '' ? null : values.failed_percent / 100,
          first_token_p95_ms: values.first_token_p95_ms === '' ? null : values.first_token_p95_ms,
          recovery_seconds: values.recovery_seconds === '' ? null : values.recovery_seconds,
        },
        abort: { failed_share: Number(values.abort_percent) / 100, requests: 20 },
        every_hours: values.every_hours === '' ? null : values.every_hours,
      }),
    onDone: () => {
      done(t('created'))
      onClose()
    },
  })
  const { form } = editing
  const { fault, control, nodes } = form.values
  const all = hosts.data ?? []
  const willing = all.filter((host) => host.faults.includes(fault))
  const options = (some: typeof all) => some.map((host) => ({ value: host.id, label: host.name }))
  return (
    <FormDialog opened onClose={onClose} title={t('new')} action={t('create')} of={editing} size="lg">
      <TextInput label={t('name')} required {...form.getInputProps('name')} />
      <Select
        label={t('fault')}
        description={t(`faultText.${fault}`)}
        allowDeselect={false}
        data={FAULTS.map((value) => ({ value, label: t(`faults.${value}`) }))}
        value={fault}
        onChange={(value) => {
          form.setValues({ fault: FAULTS.find((each) => each === value) ?? 'engine_freeze', nodes: [] })
        }}
      />
      {fault === 'slow_answers' && (
        <NumberInput
          label={t('milliseconds')}
          min={1}
          max={60_000}
          suffix=" ms"
          {...form.getInputProps('milliseconds')}
        />
      )}
      <MultiSelect
        label={t('nodes')}
        description={
          willing.length === 0
            ? t('nobodyAllows', { fault })
            : t('allowing', { count: willing.length, of: all.length })
        }
        required
        searchable
        data={options(willing)}
        {...form.getInputProps('nodes')}
      />
      <NumberInput
        label={t('atOnce')}
        description={t('atOnceHelp')}
        min={1}
        max={Math.max(1, nodes.length)}
        allowDecimal={false}
        {...form.getInputProps('at_once')}
      />
      <NumberInput
        label={t('atMost.failed')}
        min={0}
        max={100}
        suffix=" %"
        {...form.getInputProps('failed_percent')}
      />
      <NumberInput
        label={t('atMost.firstToken')}
        min={0}
        suffix=" ms"
        {...form.getInputProps('first_token_p95_ms')}
      />
      <NumberInput
        label={t('atMost.recovery')}
        min={0}
        suffix=" s"
        {...form.getInputProps('recovery_seconds')}
      />
      <Select
        label={t('control')}
        allowDeselect={false}
        data={[
          { value: 'phases', label: t('controls.phases') },
          { value: 'nodes', label: t('controls.nodes') },
        ]}
        {...form.getInputProps('control')}
      />
      {control === 'nodes' && (
        <MultiSelect
          label={t('controlNodes')}
          searchable
          data={options(all.filter((host) => !nodes.includes(host.id)))}
          {...form.getInputProps('control_nodes')}
        />
      )}
      <NumberInput label={t('seconds')} min={5} max={300} suffix=" s" {...form.getInputProps('seconds')} />
      <NumberInput
        label={t('repeats')}
        description={t('repeatsHelp')}
        min={1}
        max={20}
        allowDecimal={false}
        {...form.getInputProps('repeats')}
      />
      <NumberInput
        label={t('abortLabel')}
        description={t('abortHelp')}
        min={0}
        max={100}
        suffix=" %"
        {...form.getInputProps('abort_percent')}
      />
      <NumberInput
        label={t('hours')}
        description={t('hoursHelp')}
        min={1}
        max={8784}
        allowDecimal={false}
        {...form.getInputProps('every_hours')}
      />
    </FormDialog>
  )
}
