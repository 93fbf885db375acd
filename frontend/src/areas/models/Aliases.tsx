/** By which further names a model is asked for: changed at the place. */
import { Button, TextInput } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import {
  changeAlias,
  createAlias,
  deleteAlias,
  useAliases,
  useModelsChanged,
  type Alias,
  type Model,
} from '../../api/models'
import { useMay } from '../../api/session'
import { Card, Empty } from '../../ui/Card'
import { act } from '../../ui/act'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { Loaded } from '../../ui/PageState'
import { done } from '../../ui/toast'
import { EXAMPLE } from './examples'
import { EditFallbacks } from './Fallbacks'
import classes from './ModelPage.module.css'

export function Aliases({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const mayManage = useMay('model.manage')
  const aliases = useAliases(model.name)
  const [adding, setAdding] = useState(false)
  const [editing, setEditing] = useState<Alias | null>(null)
  const renew = useModelsChanged()
  const remove = async (alias: Alias) => {
    await act(
      {
        title: t('aliasDeleteTitle', { name: alias.name }),
        consequence: t('aliasDeleteText'),
        action: t('aliasDelete'),
        danger: true,
      },
      async () => {
        await deleteAlias(alias.id)
        renew()
      },
      t('aliasDeleted', { name: alias.name }),
    )
  }
  return (
    <Card
      title={t('aliases')}
      aside={
        mayManage && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconPlus size={14} />}
            onClick={() => {
              setAdding(true)
            }}
          >
            {t('aliasAdd')}
          </Button>
        )
      }
    >
      <Loaded query={aliases} isEmpty={(list) => list.length === 0} empty={<Empty title={t('noAlias')} />}>
        {(list) => (
          <ul className={classes.names}>
            {list.map((alias) => (
              <li key={alias.id} className={classes.named}>
                <span className={classes.nameOf}>{alias.name}</span>
                <span className={classes.muted}>
                  {alias.fallbacks.length > 0 &&
                    t('standsIn', { names: alias.fallbacks.map((each) => each.model).join(', ') })}
                </span>
                {mayManage && (
                  <>
                    <Button
                      size="compact-xs"
                      variant="default"
                      aria-label={t('aliasEditOf', { name: alias.name })}
                      onClick={() => {
                        setEditing(alias)
                      }}
                    >
                      {t('fallbacks')}
                    </Button>
                    <Button
                      size="compact-xs"
                      variant="subtle"
                      color="red"
                      aria-label={t('aliasDeleteTitle', { name: alias.name })}
                      onClick={() => void remove(alias)}
                    >
                      {t('aliasDelete')}
                    </Button>
                  </>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {adding && (
        <AddAlias
          target={model.name}
          onClose={() => {
            setAdding(false)
          }}
        />
      )}
      {editing !== null && (
        <EditFallbacks
          of={editing.name}
          fallbacks={editing.fallbacks}
          send={(fallbacks) => changeAlias(editing.id, { fallbacks })}
          onClose={() => {
            setEditing(null)
          }}
        />
      )}
    </Card>
  )
}

function AddAlias({ target, onClose }: { target: string; onClose: () => void }) {
  const { t } = useTranslation('models')
  const renew = useModelsChanged()
  const of = useApiForm({
    initial: { name: '' },
    schema: z.object({ name: z.string().trim().min(1, t('nameNeeded')) }),
    send: ({ name }) => createAlias({ name, target }),
    onDone: (made) => {
      renew()
      onClose()
      done(t('aliasAdded', { name: made.name, target }))
    },
  })
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('aliasAddTitle', { name: target })}
      action={t('aliasAdd')}
      of={of}
    >
      <TextInput
        label={t('newName')}
        description={t('aliasText')}
        placeholder={EXAMPLE.alias}
        data-autofocus
        {...of.form.getInputProps('name')}
      />
    </FormDialog>
  )
}
