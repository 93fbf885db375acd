/** Gives a member or a team a permission on one object. */
import { Select } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { ON_OBJECTS, useAccessActs, type GrantGiven, type ObjectKind } from '../../api/access'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import type { GrantsOf } from './Grants'
import { ObjectField } from './ObjectFields'
import { useWords } from './words'

const KINDS: readonly ObjectKind[] = ['model', 'node', 'pool']

export function GiveGrant({ to, onClose }: { to: GrantsOf; onClose: () => void }) {
  const { t } = useTranslation('access')
  const words = useWords()
  const { grantToMember, grantToTeam } = useAccessActs()
  const initial: { [Name in keyof GrantGiven]: GrantGiven[Name] } = {
    kind: 'model',
    object: '',
    permission: 'inference.use',
  }
  const giving = useApiForm({
    initial,
    schema: z.object({ object: z.string().min(1, t('objectNeeded')) }),
    send: async (given) => {
      if (to.team !== undefined) await grantToTeam.mutateAsync({ ...given, team: to.team })
      else await grantToMember.mutateAsync({ ...given, member: to.member ?? '' })
    },
    onDone: () => {
      done(t('given'))
      onClose()
    },
  })
  const { form } = giving
  const { kind, object, permission } = form.values
  return (
    <FormDialog opened onClose={onClose} title={t('give')} action={t('giveAct')} of={giving}>
      <Select
        label={t('kindOf')}
        allowDeselect={false}
        data={KINDS.map((value) => ({ value, label: t(`kind.${value}`) }))}
        value={kind}
        onChange={(value) => {
          const chosen = KINDS.find((each) => each === value) ?? 'model'
          form.setValues({
            kind: chosen,
            object: '',
            permission: ON_OBJECTS[chosen][0] ?? 'inference.use',
          })
        }}
      />
      <ObjectField
        key={kind}
        kind={kind}
        value={object}
        onChange={(value) => {
          form.setFieldValue('object', value)
        }}
        error={form.errors.object as string | undefined}
      />
      <Select
        label={t('may')}
        description={t('giveHelp')}
        allowDeselect={false}
        data={ON_OBJECTS[kind].map((value) => ({ value, label: words.permission(value) }))}
        value={permission}
        onChange={(value) => {
          const chosen = ON_OBJECTS[kind].find((each) => each === value)
          if (chosen !== undefined) form.setFieldValue('permission', chosen)
        }}
        error={form.errors.permission}
      />
    </FormDialog>
  )
}
