/** Light, dark, or as the system has it. */
import { ActionIcon, useMantineColorScheme, type MantineColorScheme } from '@mantine/core'
import { Icon } from '../ui/Icon'

const NEXT = { auto: 'light', light: 'dark', dark: 'auto' } as const
const ICON = { auto: 'auto', light: 'sun', dark: 'moon' } as const
const NAME: Record<MantineColorScheme, string> = { auto: 'as the system', light: 'light', dark: 'dark' }

export function SchemeToggle() {
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const label = `Colours: ${NAME[colorScheme]}. Change to ${NAME[NEXT[colorScheme]]}`
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
