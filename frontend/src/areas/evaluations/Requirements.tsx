/** Which scores promotion requires. */
import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { useEvaluationActs, useRequirements, type Requirement } from '../../api/evaluations'
import { useMay } from '../../api/session'
import { act } from '../../ui/act'
import { Card, Empty } from '../../ui/Card'
import { share } from '../../ui/format'
import { Loaded } from '../../ui/PageState'
import classes from './EvaluationsPage.module.css'

export function Requirements() {
  const { t } = useTranslation('evaluations')
  const mayRequire = useMay('member.manage')
  const { requireNoMore } = useEvaluationActs()
  const requirements = useRequirements()
  const end = async (need: Requirement) => {
    await act(
      {
        title: t('endTitle', { name: need.suite_name }),
        consequence: t('endText'),
        action: t('end'),
        danger: true,
      },
      () => requireNoMore.mutateAsync(need.id),
      t('ended', { name: need.suite_name }),
    )
  }
  return (
    <Card title={t('requirements')}>
      <Loaded
        query={requirements}
        isEmpty={(list) => list.length === 0}
        empty={<Empty title={t('noRequirement')} />}
      >
        {(list) => (
          <ul className={classes.needs}>
            {list.map((need) => (
              <li key={need.id} className={classes.need}>
                <span>
                  {t('need', {
                    model: need.model ?? t('allModels'),
                    suite: need.suite_name,
                    score: share(need.least_score),
                  })}
                </span>
                {mayRequire && (
                  <Button size="compact-xs" variant="subtle" color="red" onClick={() => void end(need)}>
                    {t('end')}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </Card>
  )
}
