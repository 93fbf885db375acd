/** States of a table that were saved under a name. */
import { ActionIcon, Button, Menu, TextInput } from '@mantine/core'
import { IconBookmark, IconTrash } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { sessionQuery } from '../../api/session'
import classes from './DataTable.module.css'
import type { TableView } from './useTableState'
import { useViews } from './views'

export function Views({ id, view }: { id: string; view: TableView }) {
  const { t } = useTranslation()
  const user = useQuery({ ...sessionQuery, enabled: false }).data?.user?.id ?? ''
  const { views, save, remove } = useViews(id, user)
  const [name, setName] = useState('')
  return (
    <Menu position="bottom-end" width={260}>
      <Menu.Target>
        <ActionIcon variant="default" size={30} aria-label={t('table.views')} title={t('table.views')}>
          <IconBookmark size={16} stroke={1.75} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {views.map((each) => (
          <div key={each.name} className={classes.view}>
            <Menu.Item
              onClick={() => {
                view.change(each.state)
              }}
            >
              {each.name}
            </Menu.Item>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('table.removeView', { name: each.name })}
              onClick={() => {
                remove(each.name)
              }}
            >
              <IconTrash size={14} />
            </ActionIcon>
          </div>
        ))}
        {views.length > 0 && <Menu.Divider />}
        <form
          className={classes.view}
          onSubmit={(event) => {
            event.preventDefault()
            if (name.trim() === '') return
            save({ name: name.trim(), state: view.state })
            setName('')
          }}
        >
          <TextInput
            size="xs"
            flex={1}
            maxLength={60}
            aria-label={t('table.viewName')}
            placeholder={t('table.viewName')}
            value={name}
            onChange={(event) => {
              setName(event.currentTarget.value)
            }}
            // The menu would take letters and arrows for its own.
            onKeyDown={(event) => {
              if (event.key !== 'Escape') event.stopPropagation()
            }}
          />
          <Button size="xs" type="submit" disabled={name.trim() === ''}>
            {t('action.save')}
          </Button>
        </form>
      </Menu.Dropdown>
    </Menu>
  )
}
