/** What stands in for a name, and for which causes: changed at the place. */
import { Button, Checkbox, Group, NumberInput, TextInput } from '@mantine/core'
import { IconArrowUp, IconPlus, IconTrash } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { changeModel, useModelsChanged, type Fallback, type Model } from '../../api/models'
import { useMay } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { done } from '../../ui/toast'
import classes from './ModelPage.module.css'

const CAUSES = ['no_capacity', 'context_too_long', 'engine_error'] as const
const MOST = 5

export function Fallbacks({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const mayManage = useMay('model.manage')
  const [editing, setEditing] = useState(false)
  return (
    <Card
      title={t('fallbacks')}
      aside={
        mayManage && (
          <Button
            size="compact-sm"
            variant="default"
            onClick={() => {
              setEditing(true)
            }}
          >
            {t('fallbacksEdit')}
          </Button>
        )
      }
    >
      {model.fallbacks.length === 0 ? (
        <Empty title={t('noFallback')} />
      ) : (
        <ol className={classes.names}>
          {model.fallbacks.map((each) => (
            <li key={each.model} className={classes.named}>
              <span className={classes.nameOf}>{each.model}</span>
              <span className={classes.muted}>
                {(each.causes ?? []).map((cause) => t(`cause.${cause}`)).join(', ')}
                {each.after_seconds != null && ` · ${t('afterSeconds', { count: each.after_seconds })}`}
              </span>
            </li>
          ))}
        </ol>
      )}
      {editing && (
        <EditFallbacks
          of={model.name}
          fallbacks={model.fallbacks}
          send={(fallbacks) => changeModel(model.id, { fallbacks })}
          onClose={() => {
            setEditing(false)
          }}
        />
      )}
    </Card>
  )
}

interface Editing {
  of: string
  fallbacks: readonly Fallback[]
  send: (fallbacks: Fallback[]) => Promise<unknown>
  onClose: () => void
}

interface Row {
  model: string
  causes: string[]
  after_seconds: number | string
}

export function EditFallbacks({ of: name, fallbacks, send, onClose }: Editing) {
  const { t } = useTranslation('models')
  const renew = useModelsChanged()
  const of = useApiForm<{ fallbacks: Row[] }>({
    initial: {
      fallbacks: fallbacks.map((each) => ({
        model: each.model,
        causes: [...(each.causes ?? CAUSES)],
        after_seconds: each.after_seconds ?? '',
      })),
    },
    schema: z.object({
      fallbacks: z.array(
        z.object({
          model: z.string().trim().min(1, t('nameNeeded')),
          causes: z.array(z.string()).min(1, t('causeNeeded')),
        }),
      ),
    }),
    send: (values) =>
      send(
        values.fallbacks.map((each) => ({
          model: each.model,
          causes: each.causes as NonNullable<Fallback['causes']>,
          ...(each.after_seconds === '' ? {} : { after_seconds: Number(each.after_seconds) }),
        })),
      ),
    onDone: () => {
      renew()
      onClose()
      done(t('fallbacksSaved', { name }))
    },
  })
  const { form } = of
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('fallbacksOf', { name })}
      action={t('editIt')}
      of={of}
      size="lg"
    >
      <p>{t('fallbacksText')}</p>
      {form.values.fallbacks.map((_row, place) => (
        <fieldset key={place} className={classes.fallback}>
          <legend>{t('fallbackPlace', { place: place + 1 })}</legend>
          <Group align="flex-end" wrap="nowrap">
            <TextInput
              flex={1}
              label={t('name')}
              {...form.getInputProps(`fallbacks.${String(place)}.model`)}
            />
            <NumberInput
              w={150}
              label={t('after')}
              min={0}
              max={60}
              suffix=" s"
              {...form.getInputProps(`fallbacks.${String(place)}.after_seconds`)}
            />
          </Group>
          <Checkbox.Group label={t('causes')} {...form.getInputProps(`fallbacks.${String(place)}.causes`)}>
            <Group gap="sm">
              {CAUSES.map((cause) => (
                <Checkbox key={cause} size="xs" value={cause} label={t(`cause.${cause}`)} />
              ))}
            </Group>
          </Checkbox.Group>
          <Group gap="xs">
            {place > 0 && (
              <Button
                size="compact-xs"
                variant="default"
                leftSection={<IconArrowUp size={14} />}
                onClick={() => {
                  form.reorderListItem('fallbacks', { from: place, to: place - 1 })
                }}
              >
                {t('earlier')}
              </Button>
            )}
            <Button
              size="compact-xs"
              variant="subtle"
              color="red"
              leftSection={<IconTrash size={14} />}
              onClick={() => {
                form.removeListItem('fallbacks', place)
              }}
            >
              {t('takeOut')}
            </Button>
          </Group>
        </fieldset>
      ))}
      {form.values.fallbacks.length < MOST && (
        <Button
          variant="default"
          leftSection={<IconPlus size={14} />}
          onClick={() => {
            form.insertListItem('fallbacks', { model: '', causes: [...CAUSES], after_seconds: '' })
          }}
        >
          {t('fallbackAdd')}
        </Button>
      )}
    </FormDialog>
  )
}
