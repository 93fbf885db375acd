/** What versions reached, the suites they are asked, and what promotion requires of them. */
import { Button } from '@mantine/core'
import { IconPlayerPlay, IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useMay } from '../../api/session'
import { Page } from '../../ui/Page'
import { EditSuite } from './EditSuite'
import { Evaluations } from './Evaluations'
import { Requirements } from './Requirements'
import { StartEvaluation } from './StartEvaluation'
import { Suites } from './Suites'

export function EvaluationsPage() {
  const { t } = useTranslation('evaluations')
  const mayManage = useMay('model.manage')
  const [open, setOpen] = useState<'suite' | 'start' | null>(null)
  const close = () => {
    setOpen(null)
  }
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        mayManage && (
          <>
            <Button
              size="sm"
              variant="default"
              leftSection={<IconPlus size={16} />}
              onClick={() => {
                setOpen('suite')
              }}
            >
              {t('newSuite')}
            </Button>
            <Button
              size="sm"
              leftSection={<IconPlayerPlay size={16} />}
              onClick={() => {
                setOpen('start')
              }}
            >
              {t('evaluate')}
            </Button>
          </>
        )
      }
    >
      <Evaluations />
      <Suites />
      <Requirements />
      {open === 'suite' && <EditSuite onClose={close} />}
      {open === 'start' && <StartEvaluation onClose={close} />}
    </Page>
  )
}
