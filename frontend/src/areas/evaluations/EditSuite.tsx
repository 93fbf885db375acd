/** The dialog that makes a suite or changes one; its cases are JSON, as the API takes them. */
import { Textarea, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useEvaluationActs, type Suite, type SuiteCreate } from '../../api/evaluations'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import { casesOf } from './cases'
import classes from './EvaluationsPage.module.css'

const EXAMPLE = [
  {
    name: 'capital',
    messages: [{ role: 'user', content: 'What is the capital of France? Answer in one word.' }],
    max_tokens: 16,
    checks: [{ kind: 'regex', pattern: '(?i)paris' }],
  },
]

export function EditSuite({ suite, onClose }: { suite?: Suite; onClose: () => void }) {
  const { t } = useTranslation('evaluations')
  const { make, change } = useEvaluationActs()
  const editing = useApiForm({
    initial: {
      name: suite?.name ?? '',
      description: suite?.description ?? '',
      cases: JSON.stringify(suite?.cases ?? EXAMPLE, null, 2),
    },
    schema: z.object({
      name: z.string().trim().min(1, t('needsName')).max(100),
      description: z.string().max(1000),
      cases: z.string().refine((text) => casesOf(text) !== null, t('noCases')),
    }),
    send: (values) => {
      const body = { ...values, cases: casesOf(values.cases) ?? [] } as SuiteCreate
      return suite === undefined ? make.mutateAsync(body) : change.mutateAsync({ id: suite.id, ...body })
    },
    onDone: (_, values) => {
      done(t('saved', { name: values.name }))
      onClose()
    },
  })
  const { form } = editing
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={suite === undefined ? t('newSuite') : t('editTitle', { name: suite.name })}
      action={t('save')}
      of={editing}
    >
      <TextInput label={t('name')} {...form.getInputProps('name')} />
      <TextInput label={t('description')} {...form.getInputProps('description')} />
      <Textarea
        label={t('cases')}
        description={suite?.required === true ? t('casesRequired') : t('casesText')}
        autosize
        minRows={12}
        maxRows={24}
        spellCheck={false}
        classNames={{ input: classes.json }}
        {...form.getInputProps('cases')}
      />
    </FormDialog>
  )
}
