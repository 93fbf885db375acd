/** The dialog that has a version answer a suite: which model, which of its versions, which suite, as which key. */
import { Select } from '@mantine/core'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useEvaluationActs, useSuites } from '../../api/evaluations'
import { useKeys } from '../../api/keys'
import { useModels } from '../../api/models'
import { useReleases } from '../../api/versions'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

export function StartEvaluation({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('evaluations')
  const { start } = useEvaluationActs()
  const models = useModels()
  const suites = useSuites()
  const keys = useKeys({ revoked: false })
  const [now] = useState(() => Date.now())
  const usable = (keys.rows ?? [])
    .filter((key) => key.permissions.includes('inference.use'))
    .filter((key) => key.expires_at === null || Date.parse(key.expires_at) > now)
  const starting = useApiForm({
    initial: { model: '', release: '', suite: '', key: '' },
    schema: z.object({
      model: z.string().min(1, t('chooseModel')),
      release: z.string().min(1, t('chooseVersion')),
      suite: z.string().min(1, t('chooseSuite')),
      key: z.string().min(1, t('chooseKey')),
    }),
    send: ({ release, suite, key }) => start.mutateAsync({ release, suite, key }),
    onDone: () => {
      done(t('started'))
      onClose()
    },
  })
  const { form } = starting
  return (
    <FormDialog opened onClose={onClose} title={t('evaluate')} action={t('startIt')} of={starting}>
      <Select
        label={t('model')}
        placeholder={t('chooseModel')}
        searchable
        data={(models.rows ?? []).map((each) => ({ value: each.id, label: each.name }))}
        {...form.getInputProps('model')}
        onChange={(value: string | null) => {
          form.setValues({ model: value ?? '', release: '' })
        }}
      />
      <Version key={form.values.model} model={form.values.model} given={form.getInputProps('release')} />
      <Select
        label={t('suite')}
        placeholder={t('chooseSuite')}
        nothingFoundMessage={t('noSuite')}
        searchable
        data={(suites.rows ?? []).map((suite) => ({ value: suite.id, label: suite.name }))}
        {...form.getInputProps('suite')}
      />
      <Select
        label={t('key')}
        description={t('keyText')}
        placeholder={t('chooseKey')}
        nothingFoundMessage={t('noKey')}
        searchable
        data={usable.map((key) => ({ value: key.id, label: key.name }))}
        {...form.getInputProps('key')}
      />
    </FormDialog>
  )
}

function Version({ model, given }: { model: string; given: object }) {
  return model === '' ? <Versions rows={[]} given={given} /> : <VersionsOf model={model} given={given} />
}

function VersionsOf({ model, given }: { model: string; given: object }) {
  const releases = useReleases(model)
  const rows = (releases.rows ?? []).map((each) => ({
    value: each.id,
    label: [each.version.slice(7, 19), each.stage, each.channels.join(', ')].filter(Boolean).join(' · '),
  }))
  return <Versions rows={rows} given={given} />
}

function Versions({ rows, given }: { rows: { value: string; label: string }[]; given: object }) {
  const { t } = useTranslation('evaluations')
  return (
    <Select
      label={t('version')}
      description={t('versionText')}
      placeholder={t('chooseVersion')}
      data={rows}
      disabled={rows.length === 0}
      {...given}
    />
  )
}
