/** What can be done with a node: cordoned, drained, changed, removed. */
import { Button } from '@mantine/core'
import { IconDropletDown, IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sentence } from '../../api/client'
import { telemetryOf, useRemoveNode, useSchedule, type Node } from '../../api/nodes'
import { useMay } from '../../api/session'
import { Dialog } from '../../ui/Dialog'
import { done, failed } from '../../ui/toast'
import { DrainNodes } from './DrainNodes'
import { EditNode } from './EditNode'
import classes from './NodePage.module.css'

export function NodeActs({ node }: { node: Node }) {
  const { t } = useTranslation('nodes')
  const mayManage = useMay('node.manage')
  const schedule = useSchedule()
  const [opened, setOpened] = useState<'drain' | 'edit' | 'remove' | null>(null)
  if (!mayManage) return null
  const running = telemetryOf(node)?.running ?? 0
  const close = () => {
    setOpened(null)
  }
  const set = (change: { schedulable: boolean; drain_seconds?: number }, message: string) => {
    schedule.mutate(
      { id: node.id, ...change },
      {
        onSuccess: () => {
          done(message)
        },
        onError: failed,
      },
    )
  }
  return (
    <>
      {node.schedulable ? (
        <Button
          variant="default"
          loading={schedule.isPending}
          leftSection={<IconPlayerPause size={16} />}
          onClick={() => {
            set({ schedulable: false }, t('cordoned'))
          }}
        >
          {t('cordon')}
        </Button>
      ) : (
        <Button
          variant="default"
          loading={schedule.isPending}
          leftSection={<IconPlayerPlay size={16} />}
          onClick={() => {
            set({ schedulable: true }, t('resumed'))
          }}
        >
          {t('resume')}
        </Button>
      )}
      {node.drain === null && (
        <Button
          variant="default"
          leftSection={<IconDropletDown size={16} />}
          onClick={() => {
            setOpened('drain')
          }}
        >
          {t('drain')}
        </Button>
      )}
      <Button
        variant="default"
        leftSection={<IconPencil size={16} />}
        onClick={() => {
          setOpened('edit')
        }}
      >
        {t('edit')}
      </Button>
      <Button
        variant="default"
        leftSection={<IconTrash size={16} />}
        onClick={() => {
          setOpened('remove')
        }}
      >
        {t('remove')}
      </Button>
      {opened === 'drain' && (
        <DrainNodes
          count={1}
          onClose={close}
          onDrain={(seconds) => {
            set({ schedulable: false, drain_seconds: seconds }, t('drainBegun', { count: running }))
          }}
        />
      )}
      {opened === 'edit' && <EditNode node={node} onClose={close} />}
      <Remove node={node} running={running} opened={opened === 'remove'} onClose={close} />
    </>
  )
}

function Remove(props: { node: Node; running: number; opened: boolean; onClose: () => void }) {
  const { node, running, opened, onClose } = props
  const { t } = useTranslation(['nodes', 'common'])
  const remove = useRemoveNode()
  const navigate = useNavigate()
  return (
    <Dialog opened={opened} onClose={onClose} title={t('removeTitle', { name: node.name })}>
      <p>{running > 0 ? t('removeRunning', { count: running }) : t('removeText')}</p>
      {remove.error !== null && <p role="alert">{sentence(remove.error)}</p>}
      <div className={classes.buttons}>
        <Button variant="default" onClick={onClose}>
          {t('cancel')}
        </Button>
        <Button
          color="red"
          loading={remove.isPending}
          onClick={() => {
            remove.mutate(node.id, {
              onSuccess: () => {
                done(t('removed'))
                void navigate({ to: '/nodes' })
              },
            })
          }}
        >
          {t('removeIt')}
        </Button>
      </div>
    </Dialog>
  )
}
