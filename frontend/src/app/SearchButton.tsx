/** Opens the search; its dialog is loaded when it is first wanted. */
import { Kbd, UnstyledButton } from '@mantine/core'
import { useHotkeys } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { lazy, Suspense, useState } from 'react'
import { useTranslation } from 'react-i18next'
import classes from './SearchButton.module.css'

const Search = lazy(async () => ({ default: (await import('./Search')).Search }))

export function SearchButton() {
  const { t } = useTranslation()
  const [opened, setOpened] = useState(false)
  const [wanted, setWanted] = useState(false)
  const open = () => {
    setWanted(true)
    setOpened(true)
  }
  useHotkeys([['mod+K', open]], [])
  return (
    <>
      <UnstyledButton className={classes.button} onClick={open} aria-keyshortcuts="Control+K">
        <IconSearch size={16} stroke={1.75} aria-hidden="true" />
        <span className={classes.word}>{t('search.label')}</span>
        <Kbd size="xs" className={classes.keys} aria-hidden="true">
          {t('search.keysShort')}
        </Kbd>
      </UnstyledButton>
      {wanted && (
        <Suspense>
          <Search
            opened={opened}
            onClose={() => {
              setOpened(false)
            }}
          />
        </Suspense>
      )}
    </>
  )
}
