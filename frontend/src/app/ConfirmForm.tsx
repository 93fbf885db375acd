/** The ways in which somebody confirms that it is they; loaded when that is asked for first. */
import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Confirming } from '../api/client'
import { confirmSession, passkeyToConfirm } from '../api/proof'
import { ProofForm } from '../ui/ProofForm'
import classes from '../ui/form/FormDialog.module.css'

export function ConfirmForm({ how, answer }: { how: Confirming; answer: (confirmed: boolean) => void }) {
  const { t } = useTranslation()
  const cancel = () => {
    answer(false)
  }
  return (
    <div className={classes.form}>
      <p>{t(how.ways.length > 0 || how.provider !== null ? 'proof.text' : 'proof.none')}</p>
      {how.provider !== null && (
        <Button
          variant="default"
          fullWidth
          onClick={() => {
            const next = new URLSearchParams({ next: window.location.pathname + window.location.search })
            window.location.assign(`/auth/sso/${how.provider ?? ''}/begin?${next.toString()}`)
          }}
        >
          {t('proof.provider')}
        </Button>
      )}
      {how.ways.length > 0 ? (
        <ProofForm
          ways={how.ways}
          action={t('proof.confirm')}
          passkey={passkeyToConfirm}
          send={async (proof) => {
            await confirmSession(proof)
            answer(true)
          }}
          onCancel={cancel}
        />
      ) : (
        <div className={classes.buttons}>
          <Button variant="default" onClick={cancel}>
            {t('action.cancel')}
          </Button>
        </div>
      )}
    </div>
  )
}
