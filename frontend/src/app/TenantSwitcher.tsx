/** The organisation that the session acts in, and the others that this person is a member of. */
import { Button, Menu } from '@mantine/core'
import { IconBuilding, IconCheck, IconSelector } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useRouter } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { sessionQuery, useEnterTenant } from '../api/session'
import classes from './TenantSwitcher.module.css'

export function TenantSwitcher() {
  const { t } = useTranslation()
  const router = useRouter()
  const session = useQuery(sessionQuery).data
  const enter = useEnterTenant()
  const now = session?.tenant
  if (now == null) return null
  const icon = <IconBuilding size={16} stroke={1.75} />
  if (session === undefined || session.tenants.length < 2) {
    return (
      <span className={classes.alone}>
        {icon}
        <span className={classes.name}>{now.name}</span>
      </span>
    )
  }
  return (
    <Menu position="bottom-start" width={260}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          size="sm"
          className={classes.button}
          leftSection={icon}
          rightSection={<IconSelector size={14} />}
          loading={enter.isPending}
          aria-label={t('shell.tenant', { name: now.name })}
        >
          <span className={classes.name}>{now.name}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t('shell.tenants')}</Menu.Label>
        {session.tenants.map((tenant) => (
          <Menu.Item
            key={tenant.id}
            rightSection={tenant.id === now.id ? <IconCheck size={16} /> : undefined}
            onClick={() => {
              if (tenant.id === now.id) return
              // What the page shows may not be there in the other organisation.
              enter.mutate(tenant.id, { onSuccess: () => void router.navigate({ to: '/' }) })
            }}
          >
            {tenant.name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
