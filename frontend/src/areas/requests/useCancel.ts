/** Cancels a request, after asking: its client is told, and nothing brings the answer back. */
import { useTranslation } from 'react-i18next'
import { useCancelRequest } from '../../api/requests'
import { confirmed } from '../../ui/confirm'
import { done, failed } from '../../ui/toast'

export function useCancel(): (request: { request: string; model: string }) => Promise<void> {
  const { t } = useTranslation('requests')
  const cancel = useCancelRequest()
  return async ({ request, model }) => {
    const yes = await confirmed({
      title: t('cancel.title', { model }),
      consequence: t('cancel.consequence'),
      action: t('cancel.action'),
      danger: true,
    })
    if (!yes) return
    try {
      await cancel.mutateAsync(request)
      done(t('cancel.done'))
    } catch (error) {
      failed(error)
    }
  }
}
