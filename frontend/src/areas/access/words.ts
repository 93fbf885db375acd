/** Permissions, objects and reasons in words. */
import { useTranslation } from 'react-i18next'
import { PERMISSIONS, type Reason, type Target } from '../../api/access'

type Known = (typeof PERMISSIONS)[number]
type Flat<Name extends string> = Name extends `${infer Noun}.${infer Verb}` ? `${Noun}_${Verb}` : never
const flat = (name: Known) => name.replace('.', '_') as Flat<Known>

export function useWords() {
  const { t } = useTranslation('access')
  const permission = (name: string): string => {
    const known = PERMISSIONS.find((each) => each === name)
    return known === undefined ? name : t(`permission.${flat(known)}`)
  }
  const target = (on: Target | null): string =>
    on === null ? t('everything') : t(`on.${on.kind}`, { name: on.name === '' ? on.id : on.name })
  const reason = ({ by, role, team, pool }: Reason): string => {
    const through =
      pool === null ? '' : ` (${t('on.pool', { name: pool.name === '' ? pool.id : pool.name })})`
    return t(`by.${by}`, { role, team }) + through
  }
  const choices = PERMISSIONS.map((value) => ({ value, label: permission(value) }))
  return { permission, target, reason, choices }
}
