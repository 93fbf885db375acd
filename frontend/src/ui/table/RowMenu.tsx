/** What can be done with a row, behind one button: where three or more acts would take the columns' room. */
import { Button, Menu } from '@mantine/core'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

/** `of`: what the row is about, for the button's name. `children`: `Menu.Item`s. */
export function RowMenu({ of, children }: { of: string; children: ReactNode }) {
  const { t } = useTranslation()
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button variant="default" size="compact-sm" aria-label={t('table.actionsOf', { name: of })}>
          {t('table.actions')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>{children}</Menu.Dropdown>
    </Menu>
  )
}
