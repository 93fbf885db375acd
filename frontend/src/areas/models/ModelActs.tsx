/** What can be done with a model: tried, copied, taken along as a bundle, served otherwise, shared, deleted. */
import { Button, Menu, TextInput } from '@mantine/core'
import {
  IconCopy,
  IconDots,
  IconDownload,
  IconMessages,
  IconPencil,
  IconTrash,
  IconUsers,
} from '@tabler/icons-react'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import {
  changeModel,
  copyModel,
  useDeleteModel,
  useModelsChanged,
  useModelUses,
  type Model,
  type ModelUses,
} from '../../api/models'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { Dialog } from '../../ui/Dialog'
import { FormDialog } from '../../ui/form/FormDialog'
import { useApiForm } from '../../ui/form/useApiForm'
import { Loaded } from '../../ui/PageState'
import { done, failed } from '../../ui/toast'
import { EditProfile } from './EditProfile'
import { EXAMPLE } from './examples'
import classes from './ModelPage.module.css'

type Opened = 'copy' | 'edit' | 'delete' | null

export function ModelActs({ model }: { model: Model }) {
  const { t } = useTranslation('models')
  const mayUse = useMay('inference.use')
  const mayManage = useMay('model.manage')
  const mayShare = useMay('tenant.manage')
  const [opened, setOpened] = useState<Opened>(null)
  const renew = useModelsChanged()
  const close = () => {
    setOpened(null)
  }
  const share = async () => {
    await act(
      {
        title: t(model.shared ? 'unshareTitle' : 'shareTitle', { name: model.name }),
        consequence: t(model.shared ? 'unshareText' : 'shareText'),
        action: t(model.shared ? 'unshare' : 'share'),
        danger: model.shared,
      },
      async () => {
        await changeModel(model.id, { shared: !model.shared })
        renew()
      },
      t(model.shared ? 'unshared' : 'sharedNow', { name: model.name }),
    )
  }
  return (
    <>
      {mayUse && (
        <Button
          variant="default"
          leftSection={<IconMessages size={16} />}
          renderRoot={(props) => <Link {...props} to="/playground" search={{ model: model.name } as never} />}
        >
          {t('try')}
        </Button>
      )}
      {mayManage && (
        <>
          <Button
            variant="default"
            leftSection={<IconPencil size={16} />}
            onClick={() => {
              setOpened('edit')
            }}
          >
            {t('edit')}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default" px="xs" aria-label={t('acts')}>
                <IconDots size={18} />
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item
                leftSection={<IconCopy size={16} />}
                onClick={() => {
                  setOpened('copy')
                }}
              >
                {t('copy')}
              </Menu.Item>
              {model.origin === 'hosted' && (
                <Menu.Item
                  component="a"
                  href={`/api/v1/bundles/export?channel=${model.id}`}
                  download
                  leftSection={<IconDownload size={16} />}
                >
                  {t('bundle')}
                </Menu.Item>
              )}
              {(mayShare || model.shared) && (
                <Menu.Item leftSection={<IconUsers size={16} />} onClick={() => void share()}>
                  {t(model.shared ? 'unshare' : 'share')}
                </Menu.Item>
              )}
              <Menu.Item
                color="red"
                leftSection={<IconTrash size={16} />}
                onClick={() => {
                  setOpened('delete')
                }}
              >
                {t('delete')}
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
          {opened === 'copy' && <Copy model={model} onClose={close} />}
          {opened === 'edit' && <EditProfile model={model} onClose={close} />}
          {opened === 'delete' && <Delete model={model} onClose={close} />}
        </>
      )}
    </>
  )
}

function Copy({ model, onClose }: { model: Model; onClose: () => void }) {
  const { t } = useTranslation('models')
  const renew = useModelsChanged()
  const navigate = useNavigate()
  const of = useApiForm({
    initial: { name: '' },
    schema: z.object({ name: z.string().trim().min(1, t('nameNeeded')) }),
    send: ({ name }) => copyModel(model.id, name),
    onDone: (made) => {
      renew()
      onClose()
      done(t('copied', { name: made.name }))
      void navigate({ to: '/models/$id', params: { id: made.id } })
    },
  })
  return (
    <FormDialog
      opened
      onClose={onClose}
      title={t('copyTitle', { name: model.name })}
      action={t('copy')}
      of={of}
    >
      <p>{t('copyText')}</p>
      <TextInput
        label={t('newName')}
        placeholder={EXAMPLE.copy}
        data-autofocus
        {...of.form.getInputProps('name')}
      />
    </FormDialog>
  )
}

function Delete({ model, onClose }: { model: Model; onClose: () => void }) {
  const { t } = useTranslation(['models', 'common'])
  const uses = useModelUses(model.id, true)
  const remove = useDeleteModel()
  const renew = useModelsChanged()
  const navigate = useNavigate()
  return (
    <Dialog opened onClose={onClose} title={t('deleteTitle', { name: model.name })}>
      <Loaded query={uses}>{(found) => <Consequences uses={found} />}</Loaded>
      <div className={classes.buttons}>
        <Button variant="default" onClick={onClose} data-autofocus>
          {t('common:action.cancel')}
        </Button>
        <Button
          color="red"
          disabled={uses.data === undefined}
          loading={remove.isPending}
          onClick={() => {
            remove.mutate(model.id, {
              onSuccess: (job) => {
                renew()
                onClose()
                if (job === undefined) done(t('deleted', { name: model.name }))
                else
                  done(t('deleteBegun', { name: model.name }), {
                    link: { to: '/jobs', label: t('showJobs') },
                  })
                void navigate({ to: '/models' })
              },
              onError: failed,
            })
          }}
        >
          {t('deleteIt')}
        </Button>
      </div>
    </Dialog>
  )
}

function Consequences({ uses }: { uses: ModelUses }) {
  const { t } = useTranslation('models')
  const told = [
    uses.names.length > 0
      ? t('usesNames', { names: uses.names.join(', ') })
      : t('usesReplicas', { count: uses.replicas }),
    ...(uses.aliases.length > 0 ? [t('usesAliases', { names: uses.aliases.join(', ') })] : []),
    ...(uses.fallbacks.length > 0 ? [t('usesFallbacks', { names: uses.fallbacks.join(', ') })] : []),
    ...(uses.running > 0 ? [t('usesRunning', { count: uses.running })] : []),
    ...(uses.shared ? [t('usesShared')] : []),
    ...(uses.by_engines ? [t('usesEngines')] : []),
  ]
  return (
    <ul className={classes.consequences}>
      {told.map((each) => (
        <li key={each}>{each}</li>
      ))}
    </ul>
  )
}
