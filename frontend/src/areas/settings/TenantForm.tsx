/** What an organisation may change of itself. */
import { Alert, Button, NumberInput, Switch, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangeTenant, type Tenant } from '../../api/tenant'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import classes from './SettingsPage.module.css'

const SWITCHES = ['show_route', 'store_responses', 'strict_fields'] as const

export function TenantForm({ tenant, mayChange }: { tenant: Tenant; mayChange: boolean }) {
  const { t } = useTranslation('settings')
  const change = useChangeTenant()
  const form = useApiForm({
    initial: {
      name: tenant.name,
      show_route: tenant.show_route,
      store_responses: tenant.store_responses,
      strict_fields: tenant.strict_fields,
      prompt_days: tenant.prompt_days,
    },
    schema: z.object({
      name: z.string().trim().min(1, t('giveName')).max(200, t('longName')),
      prompt_days: z
        .number(t('prompt_days.range'))
        .int(t('prompt_days.range'))
        .min(0, t('prompt_days.range'))
        .max(400, t('prompt_days.range')),
    }),
    send: (values) => change.mutateAsync(values),
    onDone: (_, values) => {
      form.form.resetDirty(values)
      done(t('saved'))
    },
  })
  return (
    <form onSubmit={form.onSubmit} noValidate className={classes.form}>
      <TextInput label={t('name')} readOnly={!mayChange} {...form.form.getInputProps('name')} />
      {SWITCHES.map((name) => (
        <Switch
          key={name}
          label={t(`${name}.label`)}
          description={t(`${name}.text`)}
          disabled={!mayChange}
          {...form.form.getInputProps(name, { type: 'checkbox' })}
        />
      ))}
      <NumberInput
        label={t('prompt_days.label')}
        description={t('prompt_days.text')}
        suffix={` ${t('prompt_days.unit')}`}
        allowDecimal={false}
        allowNegative={false}
        readOnly={!mayChange}
        maw={420}
        {...form.form.getInputProps('prompt_days')}
      />
      {form.failure !== null && (
        <Alert color="red" variant="light" role="alert">
          {form.failure}
        </Alert>
      )}
      {mayChange ? (
        <div>
          <Button type="submit" loading={form.pending} disabled={!form.form.isDirty()}>
            {t('save')}
          </Button>
        </div>
      ) : (
        <p>{t('notYours')}</p>
      )}
    </form>
  )
}
