/** A button that copies a text and says that it did. */
import { ActionIcon } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'
import { useTranslation } from 'react-i18next'
import { Icon } from './Icon'

export function CopyText({ text, label, size = 30 }: { text: string; label: string; size?: number }) {
  const { t } = useTranslation()
  const clipboard = useClipboard({ timeout: 1500 })
  return (
    <>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={size}
        aria-label={label}
        title={clipboard.copied ? t('action.copied') : label}
        onClick={() => {
          clipboard.copy(text)
        }}
      >
        <Icon name={clipboard.copied ? 'check' : 'copy'} size={size > 26 ? 16 : 14} />
      </ActionIcon>
      <span className="sr-only" role="status">
        {clipboard.copied ? t('action.copied') : ''}
      </span>
    </>
  )
}
