/** Gives a member another role. */
import { Select } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useMemberActs, type Member } from '../../api/members'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

interface ChangeRoleProps {
  member: Member
  roles: { value: string; label: string }[]
  onClose: () => void
}

export function ChangeRole({ member, roles, onClose }: ChangeRoleProps) {
  const { t } = useTranslation('members')
  const { change } = useMemberActs()
  const form = useApiForm({
    initial: { role: member.role },
    schema: z.object({ role: z.string().min(1, t('roleNeeded')) }),
    send: ({ role }) => change.mutateAsync({ id: member.id, role }),
    onDone: () => {
      done(t('roleDone', { email: member.email }))
      onClose()
    },
  })
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('changeRoleOf', { email: member.email })}
      action={t('save')}
      of={form}
    >
      <Select
        label={t('role')}
        description={t('roleChangeHelp')}
        data={roles}
        allowDeselect={false}
        {...form.form.getInputProps('role')}
      />
    </FormDialog>
  )
}
