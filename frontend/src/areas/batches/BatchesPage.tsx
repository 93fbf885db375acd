/** Batches and their files: upload, order, progress, results, errors, cancel, delete. */
import { Anchor, Button, FileButton } from '@mantine/core'
import { IconPlus, IconUpload } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useUpload } from '../../api/batches'
import { Page } from '../../ui/Page'
import { done, failed } from '../../ui/toast'
import { Batches } from './Batches'
import { Files } from './Files'
import { OrderBatch } from './OrderBatch'

export function BatchesPage() {
  const { t } = useTranslation('batches')
  const upload = useUpload()
  const [ordering, setOrdering] = useState(false)
  return (
    <Page
      title={t('title')}
      lead={
        <>
          {t('lead')}{' '}
          <Anchor
            underline="always"
            size="sm"
            href="https://platform.openai.com/docs/guides/batch"
            target="_blank"
            rel="noreferrer"
          >
            {t('form')}
          </Anchor>
        </>
      }
      actions={
        <>
          <FileButton
            accept=".jsonl,application/jsonl"
            onChange={(file) => {
              if (file === null) return
              upload.mutate(file, {
                onSuccess: () => {
                  done(t('uploaded', { name: file.name }))
                },
                onError: failed,
              })
            }}
          >
            {(props) => (
              <Button
                {...props}
                variant="default"
                size="sm"
                loading={upload.isPending}
                leftSection={<IconUpload size={16} />}
              >
                {t('upload')}
              </Button>
            )}
          </FileButton>
          <Button
            size="sm"
            leftSection={<IconPlus size={16} />}
            onClick={() => {
              setOrdering(true)
            }}
          >
            {t('order')}
          </Button>
        </>
      }
    >
      <Batches />
      <Files />
      {ordering && (
        <OrderBatch
          onClose={() => {
            setOrdering(false)
          }}
        />
      )}
    </Page>
  )
}
