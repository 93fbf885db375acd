/** Acts on a model that are asked for before they are done, told of when they are, and shown at once. */
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { Model } from '../../api/models'
import { act as perform } from '../../ui/act'
import type { Question } from '../../ui/confirm'

export function useActs(model: Model) {
  const { t } = useTranslation('models')
  const queries = useQueryClient()
  const act = async (question: Question, run: () => Promise<unknown>) => {
    await perform(question, run, t('versionsChanged', { name: model.name }))
    await queries.invalidateQueries({ queryKey: ['model', model.id] })
  }
  return { t, act }
}
