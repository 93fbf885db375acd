/** The dialog that registers an application or changes one. */
import { MultiSelect, Select, Switch, Textarea, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useTeams } from '../../api/access'
import { useApplicationActs, type Application, type CreatedApplication } from '../../api/applications'
import { useRoleChoices } from '../../api/members'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'

interface Props {
  /** Which is changed; `null` where one is made. */
  application: Application | null
  onClose: () => void
  onMade: (made: CreatedApplication) => void
}

const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

export function ApplicationForm({ application, onClose, onMade }: Props) {
  const { t } = useTranslation('applications')
  const { create, change } = useApplicationActs()
  const roles = useRoleChoices()
  const teams = useTeams()
  const editing = useApiForm({
    initial: {
      name: application?.name ?? '',
      redirect_uris: application?.redirect_uris.join('\n') ?? '',
      log_out_uris: application?.log_out_uris.join('\n') ?? '',
      public: application?.public ?? false,
      id_token_signed_response_alg: application?.id_token_signed_response_alg ?? ('RS256' as const),
      for_everybody: application?.for_everybody ?? true,
      roles: application?.roles ?? [],
      teams: application?.teams ?? [],
    },
    schema: z.object({
      name: z.string().trim().min(1, t('nameNeeded')),
      redirect_uris: z.string().refine((text) => linesOf(text).length > 0, t('redirectNeeded')),
    }),
    send: async ({ public: isPublic, ...values }): Promise<CreatedApplication | null> => {
      const body = {
        ...values,
        name: values.name.trim(),
        redirect_uris: linesOf(values.redirect_uris),
        log_out_uris: linesOf(values.log_out_uris),
      }
      if (application === null) return create.mutateAsync({ ...body, public: isPublic })
      await change.mutateAsync({ id: application.id, ...body })
      return null
    },
    onDone: (made, { name }) => {
      onClose()
      if (made === null) done(t('saved', { name }))
      else onMade(made)
    },
  })
  const { form } = editing
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={application === null ? t('new') : t('editOf', { name: application.name })}
      action={application === null ? t('register') : t('save')}
      of={editing}
      size="lg"
    >
      <TextInput label={t('name')} maxLength={100} data-autofocus {...form.getInputProps('name')} />
      <Textarea
        label={t('redirects')}
        description={t('redirectsHelp')}
        placeholder={t('redirectExample')}
        autosize
        minRows={2}
        maxRows={8}
        maxLength={11000}
        {...form.getInputProps('redirect_uris')}
      />
      <Textarea
        label={t('logOuts')}
        description={t('logOutsHelp')}
        autosize
        minRows={1}
        maxRows={8}
        maxLength={11000}
        {...form.getInputProps('log_out_uris')}
      />
      {application === null && (
        <Switch
          label={t('public')}
          description={t('publicHelp')}
          {...form.getInputProps('public', { type: 'checkbox' })}
        />
      )}
      <Select
        label={t('algorithm')}
        description={t('algorithmHelp')}
        data={['RS256', 'ES256']}
        allowDeselect={false}
        {...form.getInputProps('id_token_signed_response_alg')}
      />
      <Switch
        label={t('forEverybody')}
        description={t('forEverybodyHelp')}
        {...form.getInputProps('for_everybody', { type: 'checkbox' })}
      />
      {!form.values.for_everybody && (
        <>
          <MultiSelect
            label={t('roles')}
            description={t('rolesHelp')}
            searchable
            hidePickedOptions
            data={[...(roles.data ?? [])]}
            {...form.getInputProps('roles')}
          />
          <MultiSelect
            label={t('teams')}
            searchable
            hidePickedOptions
            data={(teams.rows ?? []).map((team) => ({ value: team.slug, label: team.name }))}
            {...form.getInputProps('teams')}
          />
        </>
      )}
    </FormDialog>
  )
}
