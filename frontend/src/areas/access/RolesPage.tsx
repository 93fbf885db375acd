/** The roles that members, teams and service accounts can have: the system's, and the organisation's own. */
import { Button, MultiSelect, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { PERMISSIONS, useAccessActs, useRoles, type Role } from '../../api/access'
import { useMay, type Permission } from '../../api/session'
import { act } from '../../ui/act'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { Page } from '../../ui/Page'
import { PageEmpty } from '../../ui/PageState'
import type { Column } from '../../ui/table/column'
import { DataTable } from '../../ui/table/DataTable'
import { Tag } from '../../ui/Tag'
import { done } from '../../ui/toast'
import { slugOf } from './slug'
import { useWords } from './words'

export function RolesPage() {
  const { t } = useTranslation('access')
  const words = useWords()
  const mayManage = useMay('member.manage')
  const list = useRoles()
  const { deleteRole } = useAccessActs()
  const [editing, setEditing] = useState<Role | 'new' | null>(null)
  const columns: Column<Role>[] = [
    { id: 'name', header: t('name'), value: (row) => row.name, primary: true, width: 200 },
    {
      id: 'kind',
      header: t('kindOf'),
      value: (row) => (row.is_system ? t('system') : t('own')),
      cell: (row) => (
        <Tag tone={row.is_system ? 'plain' : 'accent'}>{row.is_system ? t('system') : t('own')}</Tag>
      ),
      width: 130,
    },
    { id: 'count', header: t('count'), value: (row) => row.permissions.length, align: 'right', width: 130 },
    {
      id: 'permissions',
      header: t('permissions'),
      value: (row) => row.permissions.map(words.permission).join(', '),
      cell: (row) => (
        <span title={row.permissions.map(words.permission).join('\n')}>
          {row.permissions.map(words.permission).join(', ')}
        </span>
      ),
    },
  ]
  const remove = async (role: Role) => {
    await act(
      {
        title: t('deleteTitle', { name: role.name }),
        consequence: t('deleteRoleText'),
        action: t('delete'),
        danger: true,
      },
      () => deleteRole.mutateAsync(role.id),
      t('deleted', { name: role.name }),
    )
  }
  return (
    <Page
      title={t('roles')}
      lead={t('rolesLead')}
      actions={
        mayManage && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
            {t('newRole')}
          </Button>
        )
      }
    >
      <DataTable
        id="roles"
        label={t('roles')}
        columns={columns}
        list={list}
        idOf={(row) => row.id}
        {...(mayManage
          ? {
              rowActionsWidth: 170,
              rowActions: (row: Role) =>
                !row.is_system && (
                  <>
                    <Button
                      size="compact-xs"
                      variant="subtle"
                      aria-label={t('editOf', { name: row.name })}
                      onClick={() => setEditing(row)}
                    >
                      {t('edit')}
                    </Button>
                    <Button
                      size="compact-xs"
                      variant="subtle"
                      color="red"
                      aria-label={t('deleteOf', { name: row.name })}
                      onClick={() => void remove(row)}
                    >
                      {t('delete')}
                    </Button>
                  </>
                ),
            }
          : {})}
        empty={<PageEmpty title={t('noRoles')} />}
      />
      {editing !== null && (
        <RoleForm role={editing === 'new' ? null : editing} onClose={() => setEditing(null)} />
      )}
    </Page>
  )
}

function RoleForm({ role, onClose }: { role: Role | null; onClose: () => void }) {
  const { t } = useTranslation('access')
  const words = useWords()
  const { createRole, changeRole } = useAccessActs()
  const known = useMemo(
    () => role?.permissions.filter((each) => PERMISSIONS.some((one) => one === each)) ?? [],
    [role],
  )
  const editing = useApiForm({
    initial: { name: role?.name ?? '', slug: role?.slug ?? '', permissions: known },
    schema: z.object({
      name: z.string().trim().min(1, t('nameNeeded')),
      permissions: z.array(z.string()).min(1, t('permissionsNeeded')),
    }),
    send: async ({ name, slug, permissions }) => {
      const body = { name: name.trim(), permissions: permissions as Permission[] }
      if (role !== null) await changeRole.mutateAsync({ id: role.id, ...body })
      else await createRole.mutateAsync({ ...body, slug: slug === '' ? slugOf(name) : slug })
    },
    onDone: (_, { name }) => {
      done(t('saved', { name }))
      onClose()
    },
  })
  const { form } = editing
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={role === null ? t('newRole') : t('editOf', { name: role.name })}
      action={t('save')}
      of={editing}
    >
      <TextInput label={t('name')} maxLength={100} data-autofocus {...form.getInputProps('name')} />
      {role === null && (
        <TextInput
          label={t('slug')}
          description={t('slugHelp')}
          placeholder={slugOf(form.values.name)}
          maxLength={63}
          {...form.getInputProps('slug')}
        />
      )}
      <MultiSelect
        label={t('permissions')}
        description={t('permissionsHelp')}
        data={words.choices}
        searchable
        clearable
        {...form.getInputProps('permissions')}
      />
    </FormDialog>
  )
}
