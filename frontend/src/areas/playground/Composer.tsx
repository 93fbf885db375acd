/** Where the next turn is written: text, and images of this computer. */
import { ActionIcon, Button, FileButton, Textarea } from '@mantine/core'
import { IconPhotoPlus, IconPlayerStop, IconSend, IconX } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { failed } from '../../ui/toast'
import type { Turn } from './conversation'
import classes from './Playground.module.css'

/** Bytes of one image. */
const MOST = 8_000_000

interface ComposerProps {
  busy: boolean
  disabled: boolean
  onSend: (turn: Turn) => void
  onStop: () => void
}

export function Composer({ busy, disabled, onSend, onStop }: ComposerProps) {
  const { t } = useTranslation('playground')
  const [text, setText] = useState('')
  const [images, setImages] = useState<readonly string[]>([])
  const ready = !busy && !disabled && (text.trim() !== '' || images.length > 0)
  const send = () => {
    if (!ready) return
    onSend({ role: 'user', text, ...(images.length > 0 ? { images } : {}) })
    setText('')
    setImages([])
  }
  const add = (files: File[]) => {
    for (const file of files) {
      if (file.size > MOST) {
        failed(new Error(t('tooLarge', { name: file.name })))
        continue
      }
      const reader = new FileReader()
      reader.addEventListener('load', () => {
        if (typeof reader.result === 'string') {
          const url = reader.result
          setImages((before) => [...before, url])
        }
      })
      reader.readAsDataURL(file)
    }
  }
  return (
    <form
      className={classes.composer}
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
    >
      {images.length > 0 && (
        <div className={classes.images}>
          {images.map((url, index) => (
            <span key={url} className={classes.thumb}>
              <img src={url} alt={t('image')} className={classes.image} />
              <ActionIcon
                size="xs"
                variant="filled"
                color="gray"
                aria-label={t('removeImage')}
                onClick={() => setImages(images.filter((_each, at) => at !== index))}
              >
                <IconX size={12} />
              </ActionIcon>
            </span>
          ))}
        </div>
      )}
      <Textarea
        aria-label={t('message')}
        placeholder={t('message')}
        description={t('enter')}
        inputWrapperOrder={['input', 'description']}
        autosize
        minRows={2}
        maxRows={10}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault()
            send()
          }
        }}
      />
      <div className={classes.composerFoot}>
        <FileButton accept="image/png,image/jpeg,image/webp,image/gif" multiple onChange={add}>
          {(props) => (
            <ActionIcon {...props} variant="subtle" color="gray" size={34} aria-label={t('addImage')}>
              <IconPhotoPlus size={18} />
            </ActionIcon>
          )}
        </FileButton>
        {busy ? (
          <Button variant="default" leftSection={<IconPlayerStop size={16} />} onClick={onStop}>
            {t('stop')}
          </Button>
        ) : (
          <Button type="submit" leftSection={<IconSend size={16} />} disabled={!ready}>
            {t('send')}
          </Button>
        )}
      </div>
    </form>
  )
}
