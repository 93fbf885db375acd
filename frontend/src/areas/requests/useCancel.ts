/** Cancels a request, after asking: its client is told, and nothing brings the answer back. */
import { useTranslation } from 'react-i18next'
import { useCancelRequest } from '../../api/requests'
import { act } from '../../ui/act'

export function useCancel(): (request: { request: string; model: string }) => Promise<void> {
  const { t } = useTranslation('requests')
  const cancel = useCancelRequest()
  return async ({ request, model }) => {
    await act(
      {
        title: t('cancel.title', { model }),
        consequence: t('cancel.consequence'),
        action: t('cancel.action'),
        danger: true,
      },
      () => cancel.mutateAsync(request),
      t('cancel.done'),
    )
  }
}
