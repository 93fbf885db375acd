/** Changes an organisation: its name, its share of what all wait for, its limits, and whether it may join nodes. */
import { Checkbox, NumberInput, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useTenantActs, type TenantDetail } from '../../api/tenants'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

const MOST = 2_147_483_647
const LIMITS = [
  ['requests_per_minute', 'requests'],
  ['tokens_per_minute', 'tokens'],
  ['concurrent_requests', 'concurrent'],
  ['input_tokens_per_minute', 'inputTokens'],
  ['output_tokens_per_minute', 'outputTokens'],
  ['context_tokens', 'contextTokens'],
  ['output_tokens', 'answerTokens'],
] as const

export function EditTenant({ tenant, onClose }: { tenant: TenantDetail; onClose: () => void }) {
  const { t } = useTranslation('tenants')
  const { change } = useTenantActs()
  const limits = tenant.limits
  const form = useApiForm({
    initial: {
      name: tenant.name,
      weight: tenant.weight,
      limits: {
        requests_per_minute: limits.requests_per_minute ?? '',
        tokens_per_minute: limits.tokens_per_minute ?? '',
        concurrent_requests: limits.concurrent_requests ?? '',
        input_tokens_per_minute: limits.input_tokens_per_minute ?? '',
        output_tokens_per_minute: limits.output_tokens_per_minute ?? '',
        context_tokens: limits.context_tokens ?? '',
        output_tokens: limits.output_tokens ?? '',
      },
      may_join_nodes: tenant.may_join_nodes,
    },
    schema: z.object({
      name: z.string().min(1, t('nameNeeded')),
      weight: z.number(t('weightNeeded')).min(0.001, t('weightNeeded')).max(1000, t('weightNeeded')),
    }),
    send: ({ name, weight, limits: given, may_join_nodes }) =>
      change.mutateAsync({
        id: tenant.id,
        name: name.trim(),
        weight,
        limits: {
          requests_per_minute: numberOf(given.requests_per_minute),
          tokens_per_minute: numberOf(given.tokens_per_minute),
          concurrent_requests: numberOf(given.concurrent_requests),
          input_tokens_per_minute: numberOf(given.input_tokens_per_minute),
          output_tokens_per_minute: numberOf(given.output_tokens_per_minute),
          context_tokens: numberOf(given.context_tokens),
          output_tokens: numberOf(given.output_tokens),
        },
        // The operator's own always may, and what is not changed is not sent.
        ...(tenant.is_operator ? {} : { may_join_nodes }),
      }),
    onDone: () => {
      done(t('changedDone', { name: tenant.name }))
      onClose()
    },
  })
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('editOf', { name: tenant.name })}
      action={t('save')}
      of={form}
    >
      <TextInput label={t('name')} maxLength={200} {...form.form.getInputProps('name')} />
      <NumberInput
        label={t('weight')}
        description={t('weightHelp')}
        min={0.001}
        max={1000}
        decimalScale={3}
        {...form.form.getInputProps('weight')}
      />
      {LIMITS.map(([name, label]) => (
        <NumberInput
          key={name}
          label={t(label)}
          placeholder={t('noLimit')}
          min={1}
          max={MOST}
          allowDecimal={false}
          {...form.form.getInputProps(`limits.${name}`)}
        />
      ))}
      {!tenant.is_operator && (
        <Checkbox
          label={t('mayJoinNodes')}
          description={t('mayJoinHelp')}
          {...form.form.getInputProps('may_join_nodes', { type: 'checkbox' })}
        />
      )}
    </FormDialog>
  )
}

const numberOf = (value: number | string): number | null => (value === '' ? null : Number(value))
