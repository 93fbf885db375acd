/** Buttons that lead to identity providers. They are links: the provider's page takes this one's place. */
import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Door } from '../../api/sso'
import classes from './LoginPage.module.css'

export function Doors({ doors, next }: { doors: readonly Door[]; next: string | undefined }) {
  const { t } = useTranslation('session')
  const query = next === undefined ? '' : `?${new URLSearchParams({ next }).toString()}`
  return (
    <div className={classes.form}>
      {doors.map((door) => (
        <Button key={door.id} component="a" href={`${door.url}${query}`} size="md" fullWidth>
          {t('continueWith', { name: door.name })}
        </Button>
      ))}
    </div>
  )
}
