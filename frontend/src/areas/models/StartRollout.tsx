/** The dialog that begins a rollout: of which kind, why, and which score in an evaluation suite the new version has to have reached. */
import { Input, NumberInput, SegmentedControl, Select, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useSuites } from '../../api/evaluations'
import type { Model } from '../../api/models'
import { startRollout } from '../../api/rollouts'
import type { Release } from '../../api/versions'
import { share } from '../../ui/format'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { isHold, KINDS, NO_PLAN, SHADOW_SHARES, stepsOf, type PlanValues } from './rolloutPlan'
import { atGate, faultsOf, FROM_SHARES, gateOf, NO_GATE, type GateValues } from './evaluationGate'

interface Values extends GateValues, PlanValues, Record<string, unknown> {
  reason: string
}

export function StartRollout({
  model,
  release,
  onClose,
}: {
  model: Model
  release: Release
  onClose: () => void
}) {
  const { t } = useTranslation('models')
  const queries = useQueryClient()
  const suites = useSuites()
  const of = useApiForm<Values>({
    initial: { ...NO_GATE, ...NO_PLAN, reason: '' },
    schema: z.custom<Values>().superRefine((values, context) => {
      for (const [field, fault] of Object.entries(faultsOf(values)))
        context.addIssue({ code: 'custom', path: [field], message: t(`gateFault.${fault}`) })
      if (!isHold(values))
        context.addIssue({ code: 'custom', path: ['hold'], message: t('rollOutHoldFault') })
    }),
    send: async (values) => {
      try {
        const { kind, reason } = values
        await startRollout(model.id, release.version, kind, stepsOf(values), gateOf(values), reason)
      } catch (error) {
        throw atGate(error)
      }
    },
    onDone: () => {
      void queries.invalidateQueries({ queryKey: ['model', model.id] })
      onClose()
      done(t('versionsChanged', { name: model.name }))
    },
  })
  const { form } = of
  const { kind } = form.values
  const gated = form.values.suite !== ''
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('rollOutTitle', { name: model.name, version: release.version.slice(7, 19) })}
      action={t('rollOut')}
      of={of}
    >
      <Input.Wrapper label={t('rollOutKind')} labelElement="div">
        <SegmentedControl
          fullWidth
          aria-label={t('rollOutKind')}
          data={KINDS.map((each) => ({ value: each, label: t(`rolloutKind.${each}`) }))}
          value={kind}
          onChange={(value) => {
            form.setFieldValue('kind', value)
            form.setFieldValue('shadow', value === 'shadow' ? '0.1' : '')
          }}
        />
      </Input.Wrapper>
      <p>{t(`rollOutText.${kind}`)}</p>
      {kind === 'blue_green' && (
        <NumberInput
          label={t('rollOutHold')}
          description={t('rollOutHoldText')}
          min={1}
          max={43_200}
          suffix={t('rollOutMinutes')}
          {...form.getInputProps('hold')}
        />
      )}
      <Select
        label={t(kind === 'shadow' ? 'rollOutShadow' : 'rollOutShadowFirst')}
        description={t('rollOutShadowText')}
        placeholder={t('rollOutNoShadow')}
        clearable={kind !== 'shadow'}
        allowDeselect={kind !== 'shadow'}
        data={SHADOW_SHARES.map((each) => ({
          value: String(each),
          label: t('rollOutShadowOf', { share: share(each) }),
        }))}
        error={form.errors.shadow}
        value={form.values.shadow === '' ? null : form.values.shadow}
        onChange={(value) => form.setFieldValue('shadow', value ?? '')}
      />
      <TextInput label={t('reasonOfRollout')} maxLength={200} {...form.getInputProps('reason')} />
      <Select
        label={t('gateSuite')}
        description={t('gateSuiteText')}
        placeholder={t('gateNoSuite')}
        nothingFoundMessage={t('gateSuiteNone')}
        searchable
        clearable
        data={(suites.rows ?? []).map((suite) => ({ value: suite.id, label: suite.name }))}
        error={form.errors.suite ?? suites.error?.message}
        value={gated ? form.values.suite : null}
        onChange={(value) => {
          form.clearErrors()
          form.setFieldValue('suite', value ?? '')
        }}
      />
      {gated && (
        <>
          <NumberInput
            label={t('gateLeast')}
            description={t('gateLeastText')}
            min={0.1}
            max={100}
            decimalScale={1}
            suffix=" %"
            {...form.getInputProps('least_score')}
          />
          <NumberInput
            label={t('gateMargin')}
            description={t('gateMarginText')}
            min={0}
            max={99}
            decimalScale={1}
            suffix=" %"
            {...form.getInputProps('margin')}
          />
          <Select
            label={t('gateFrom')}
            allowDeselect={false}
            data={FROM_SHARES.map((each) => ({
              value: String(each),
              label: each === 0 ? t('evaluationFirst') : t('evaluationFrom', { share: share(each) }),
            }))}
            {...form.getInputProps('from_share')}
          />
        </>
      )}
    </FormDialog>
  )
}
