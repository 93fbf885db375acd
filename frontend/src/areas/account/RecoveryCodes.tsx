/** Recovery codes, which are shown this once. */
import { useTranslation } from 'react-i18next'
import { Dialog } from '../../ui/Dialog'
import { Once } from '../../ui/Once'

export function RecoveryCodes({ codes, onDone }: { codes: readonly string[]; onDone: () => void }) {
  const { t } = useTranslation('account')
  return (
    <Dialog opened={codes.length > 0} onClose={onDone} title={t('codesTitle')} held>
      <Once label={t('codes')} text={codes.join('\n')} onDone={onDone}>
        <p>{t('codesText')}</p>
      </Once>
    </Dialog>
  )
}
