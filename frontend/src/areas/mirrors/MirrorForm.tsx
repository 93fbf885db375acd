/** The dialog that makes a mirror or changes how much it keeps. */
import { NumberInput, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useMirrorActs, type Mirror } from '../../api/mirrors'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

const GIB = 1024 ** 3
const MOST_GIB = 8_000_000
const MOST_MINUTES = 30 * 24 * 60

interface MirrorFormProps {
  /** Which is changed; without it one is made. */
  mirror?: Mirror
  onClose: () => void
}

/** Mounted while it is open, so that it begins with what there is then. */
export function MirrorForm({ mirror, onClose }: MirrorFormProps) {
  const { t } = useTranslation('mirrors')
  const { create, change } = useMirrorActs()
  const number = z.number(t('numberNeeded'))
  const form = useApiForm<Record<'prefix' | 'upstream', string> & Record<'kept' | 'minutes', number>>({
    initial: {
      prefix: mirror?.prefix ?? '',
      upstream: mirror?.upstream ?? '',
      kept: (mirror?.most_bytes ?? 100 * GIB) / GIB,
      minutes: (mirror?.check_seconds ?? 300) / 60,
    },
    schema: z.object({
      prefix: z.string().min(1, t('prefixNeeded')),
      upstream: z.string().min(1, t('upstreamNeeded')),
      kept: number.min(0.001, t('keptLeast')).max(MOST_GIB),
      minutes: number.min(0, t('numberNeeded')).max(MOST_MINUTES),
    }),
    send: ({ prefix, upstream, kept, minutes }) => {
      const terms = { most_bytes: Math.round(kept * GIB), check_seconds: Math.round(minutes * 60) }
      return mirror === undefined
        ? create.mutateAsync({ prefix: prefix.trim(), upstream: upstream.trim(), ...terms })
        : change.mutateAsync({ id: mirror.id, ...terms })
    },
    onDone: () => {
      done(mirror === undefined ? t('made') : t('changed'))
      onClose()
    },
  })
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={mirror === undefined ? t('create') : t('change')}
      action={mirror === undefined ? t('createAct') : t('saveAct')}
      of={form}
    >
      {mirror === undefined && (
        <>
          <TextInput
            label={t('upstream')}
            description={t('upstreamHelp')}
            placeholder={t('upstreamExample')}
            maxLength={255}
            data-autofocus
            {...form.form.getInputProps('upstream')}
          />
          <TextInput
            label={t('prefix')}
            description={t('prefixHelp')}
            placeholder={t('prefixExample')}
            maxLength={64}
            {...form.form.getInputProps('prefix')}
          />
        </>
      )}
      <NumberInput
        label={t('kept')}
        description={t('keptHelp')}
        min={0}
        suffix=" GiB"
        {...form.form.getInputProps('kept')}
      />
      <NumberInput
        label={t('minutes')}
        description={t('minutesHelp')}
        min={0}
        {...form.form.getInputProps('minutes')}
      />
    </FormDialog>
  )
}
