/** Sets what a model costs from now on. */
import { NumberInput, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useBudgetActs } from '../../api/budgets'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

/** `cached_million` is empty where cached tokens cost what all others do. */
const INITIAL: Record<'prompt_million' | 'completion_million' | 'second', number> &
  Record<'model' | 'currency', string> & { cached_million: number | '' } = {
  model: '',
  prompt_million: 0,
  cached_million: '',
  completion_million: 0,
  second: 0,
  currency: 'EUR',
}

export function PriceForm({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('budgets')
  const { price } = useBudgetActs()
  const amount = z.number(t('priceNeeded')).min(0, t('priceNeeded'))
  const setting = useApiForm({
    initial: INITIAL,
    schema: z
      .object({
        prompt_million: amount,
        cached_million: z.union([z.literal(''), amount]),
        completion_million: amount,
        second: amount,
        currency: z.string().regex(/^[A-Z]{3}$/, t('currencyNeeded')),
      })
      .refine((given) => given.cached_million === '' || given.cached_million <= given.prompt_million, {
        path: ['cached_million'],
        message: t('cachedAtMost'),
      }),
    send: ({ model, prompt_million, cached_million, completion_million, second, currency }) =>
      price.mutateAsync({
        model: model.trim(),
        currency,
        prompt_million: String(prompt_million),
        cached_million: cached_million === '' ? null : String(cached_million),
        completion_million: String(completion_million),
        second: String(second),
      }),
    onDone: () => {
      done(t('priceSet'))
      onClose()
    },
  })
  const { form } = setting
  return (
    <FormDialog opened onClose={onClose} title={t('newPrice')} action={t('save')} of={setting}>
      <p>{t('priceHelp')}</p>
      <TextInput
        label={t('model')}
        description={t('modelHelp')}
        placeholder={t('modelExample')}
        maxLength={400}
        {...form.getInputProps('model')}
      />
      <NumberInput label={t('prompt_million')} min={0} {...form.getInputProps('prompt_million')} />
      <NumberInput
        label={t('cached_million')}
        description={t('cachedHelp')}
        min={0}
        {...form.getInputProps('cached_million')}
      />
      <NumberInput label={t('completion_million')} min={0} {...form.getInputProps('completion_million')} />
      <NumberInput label={t('second')} min={0} {...form.getInputProps('second')} />
      <TextInput label={t('currency')} maxLength={3} {...form.getInputProps('currency')} />
    </FormDialog>
  )
}
