/** Light, dark, or as the system has it. */
import { ActionIcon, useMantineColorScheme } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { Icon } from '../ui/Icon'

const NEXT = { auto: 'light', light: 'dark', dark: 'auto' } as const
const ICON = { auto: 'auto', light: 'sun', dark: 'moon' } as const

export function SchemeToggle() {
  const { t } = useTranslation()
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const label = t('account.toggle', {
    now: t(`account.${colorScheme}`),
    next: t(`account.${NEXT[colorScheme]}`),
  })
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size={36}
      aria-label={label}
      title={label}
      onClick={() => {
        setColorScheme(NEXT[colorScheme])
      }}
    >
      <Icon name={ICON[colorScheme]} />
    </ActionIcon>
  )
}
