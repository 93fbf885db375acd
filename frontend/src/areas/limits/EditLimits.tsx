/** The dialog that sets the limits of the organisation or of a key. */
import { NumberInput, Select } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import {
  LIMIT_NAMES,
  useSetKeyLimits,
  useSetTenantLimits,
  type KeyLimits,
  type Limits,
  type TenantLimits,
} from '../../api/limits'
import { useMay } from '../../api/session'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import classes from './LimitsPage.module.css'

export type Subject = ({ kind: 'key' } & KeyLimits) | ({ kind: 'tenant' } & TenantLimits)

const MOST = 2_147_483_647
/** Mantine's number field says '' for nothing. */
const empty = (value: number | null | undefined): number | '' => value ?? ''

export function EditLimits({ of, onClose }: { of: Subject; onClose: () => void }) {
  const { t } = useTranslation('limits')
  const mayGiveHigh = useMay('member.manage')
  const setKey = useSetKeyLimits()
  const setTenant = useSetTenantLimits()
  const limit = z.union([z.literal(''), z.number().int(t('whole')).min(1, t('least')).max(MOST)])
  const editing = useApiForm({
    initial: {
      requests_per_minute: empty(of.limits.requests_per_minute),
      tokens_per_minute: empty(of.limits.tokens_per_minute),
      concurrent_requests: empty(of.limits.concurrent_requests),
      input_tokens_per_minute: empty(of.limits.input_tokens_per_minute),
      output_tokens_per_minute: empty(of.limits.output_tokens_per_minute),
      context_tokens: empty(of.limits.context_tokens),
      output_tokens: empty(of.limits.output_tokens),
      priority: of.kind === 'key' ? of.priority : 'normal',
      weight: of.kind === 'tenant' ? of.weight : 1,
    },
    schema: z.object({
      requests_per_minute: limit,
      tokens_per_minute: limit,
      concurrent_requests: limit,
      input_tokens_per_minute: limit,
      output_tokens_per_minute: limit,
      context_tokens: limit,
      output_tokens: limit,
      priority: z.string(),
      weight: z.number(t('weightBounds')).min(0.001, t('weightBounds')).max(1000, t('weightBounds')),
    }),
    send: async (values) => {
      const limits: Limits = Object.fromEntries(
        LIMIT_NAMES.map((name) => [name, values[name] === '' ? null : values[name]]),
      )
      if (of.kind === 'tenant') await setTenant.mutateAsync({ id: of.id, limits, weight: values.weight })
      else await setKey.mutateAsync({ id: of.id, limits, priority: values.priority })
    },
    onDone: () => {
      done(t('saved', { name: of.name }))
      onClose()
    },
  })
  const { form } = editing
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('changeOf', { name: of.name })}
      action={t('save')}
      of={editing}
    >
      <p>{t(of.kind === 'tenant' ? 'tenantText' : 'keyText')}</p>
      <div className={classes.fields}>
        {LIMIT_NAMES.map((name) => (
          <NumberInput
            key={name}
            label={t(name)}
            placeholder={t('none')}
            min={1}
            max={MOST}
            allowDecimal={false}
            allowNegative={false}
            {...form.getInputProps(name)}
            error={form.errors[name] ?? form.errors[`limits.${name}`]}
          />
        ))}
        {of.kind === 'tenant' ? (
          <NumberInput
            label={t('weightLabel')}
            description={t('weightText')}
            min={0.001}
            max={1000}
            {...form.getInputProps('weight')}
          />
        ) : (
          <Select
            label={t('priority')}
            data={(['high', 'normal', 'low'] as const)
              .filter((each) => mayGiveHigh || each !== 'high' || of.priority === 'high')
              .map((value) => ({ value, label: t(`class.${value}`) }))}
            allowDeselect={false}
            {...form.getInputProps('priority')}
          />
        )}
      </div>
    </FormDialog>
  )
}
