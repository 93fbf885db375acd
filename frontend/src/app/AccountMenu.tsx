/** Who is logged in, how the console looks and speaks to them, and the way out. */
import {
  Avatar,
  Menu,
  UnstyledButton,
  useMantineColorScheme,
  VisuallyHidden,
  type MantineColorScheme,
} from '@mantine/core'
import {
  IconCheck,
  IconDeviceDesktop,
  IconLanguage,
  IconLogout,
  IconMoon,
  IconPalette,
  IconSun,
  IconUserCircle,
} from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link, useRouter } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { sessionQuery, useLogOut } from '../api/session'
import { LANGUAGES, speak, type Language } from '../i18n'
import classes from './AccountMenu.module.css'

const SCHEMES = [
  { value: 'light', icon: IconSun },
  { value: 'dark', icon: IconMoon },
  { value: 'auto', icon: IconDeviceDesktop },
] as const satisfies { value: MantineColorScheme; icon: unknown }[]

export function AccountMenu() {
  const { t } = useTranslation()
  const router = useRouter()
  const user = useQuery(sessionQuery).data?.user
  const logOut = useLogOut()
  if (user == null) return null
  return (
    <Menu position="bottom-end" width={250}>
      <Menu.Target>
        <UnstyledButton className={classes.button}>
          <VisuallyHidden>{t('account.label', { email: user.email })}</VisuallyHidden>
          <Avatar name={user.name} size={30} radius="xl" color="brand" aria-hidden="true" />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={classes.who}>
          <div className={classes.name}>{user.name}</div>
          {user.name !== user.email && <div className={classes.email}>{user.email}</div>}
        </div>
        <Menu.Divider />
        <Menu.Item
          leftSection={<IconUserCircle size={16} />}
          renderRoot={(props) => <Link {...props} to="/account" />}
        >
          {t('account.page')}
        </Menu.Item>
        <Colours />
        <Languages />
        <Menu.Divider />
        <Menu.Item
          leftSection={<IconLogout size={16} />}
          onClick={() => {
            logOut.mutate(undefined, {
              onSuccess: (url) => {
                if (url === '') void router.navigate({ to: '/login' })
                else window.location.assign(url)
              },
            })
          }}
        >
          {t('account.logOut')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

function Colours() {
  const { t } = useTranslation()
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  return (
    <Menu.Sub>
      <Menu.Sub.Target>
        <Menu.Sub.Item leftSection={<IconPalette size={16} />}>{t('account.colours')}</Menu.Sub.Item>
      </Menu.Sub.Target>
      <Menu.Sub.Dropdown>
        {SCHEMES.map(({ value, icon: Icon }) => (
          <Menu.Item
            key={value}
            leftSection={<Icon size={16} />}
            rightSection={colorScheme === value ? <IconCheck size={16} /> : undefined}
            onClick={() => {
              setColorScheme(value)
            }}
          >
            {t(`account.${value}`)}
          </Menu.Item>
        ))}
      </Menu.Sub.Dropdown>
    </Menu.Sub>
  )
}

function Languages() {
  const { t, i18n } = useTranslation()
  return (
    <Menu.Sub>
      <Menu.Sub.Target>
        <Menu.Sub.Item leftSection={<IconLanguage size={16} />}>{t('account.language')}</Menu.Sub.Item>
      </Menu.Sub.Target>
      <Menu.Sub.Dropdown>
        {(Object.keys(LANGUAGES) as Language[]).map((language) => (
          <Menu.Item
            key={language}
            lang={language}
            rightSection={i18n.language === language ? <IconCheck size={16} /> : undefined}
            onClick={() => void speak(language)}
          >
            {LANGUAGES[language]}
          </Menu.Item>
        ))}
      </Menu.Sub.Dropdown>
    </Menu.Sub>
  )
}
