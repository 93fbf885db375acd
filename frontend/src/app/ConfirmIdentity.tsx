/** Asks who is at the screen to confirm that it is they, when the API wants to know; the act that needed it then goes on. */
import { lazy, Suspense, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { askToConfirm, type Confirming } from '../api/client'
import { Dialog } from '../ui/Dialog'

const ConfirmForm = lazy(async () => ({ default: (await import('./ConfirmForm')).ConfirmForm }))

interface Asked {
  how: Confirming
  answer: (confirmed: boolean) => void
}

export function ConfirmIdentity() {
  const { t } = useTranslation()
  const [asked, setAsked] = useState<Asked | null>(null)
  useEffect(() => {
    // Of several acts that ask at once, all go on with one answer.
    let open: Promise<boolean> | null = null
    askToConfirm((how) => {
      open ??= new Promise<boolean>((resolve) => {
        setAsked({
          how,
          answer: (confirmed) => {
            open = null
            setAsked(null)
            resolve(confirmed)
          },
        })
      })
      return open
    })
  }, [])
  const cancel = () => asked?.answer(false)
  return (
    <Dialog opened={asked !== null} onClose={cancel} title={t('proof.title')}>
      {asked !== null && (
        <Suspense fallback={null}>
          <ConfirmForm how={asked.how} answer={asked.answer} />
        </Suspense>
      )}
    </Dialog>
  )
}
