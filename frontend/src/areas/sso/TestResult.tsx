/** What the last test of a provider received: each claim, and the role that would follow, or what was wrong. */
import { Alert } from '@mantine/core'
import { IconAlertTriangle, IconCheck } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import type { Tested } from '../../api/sso'
import { Card } from '../../ui/Card'
import { PageEmpty } from '../../ui/PageState'
import classes from './Sso.module.css'

export function TestResult({ tested }: { tested: Tested | undefined }) {
  const { t } = useTranslation('sso')
  if (tested === undefined) {
    return <PageEmpty title={t('notTested')}>{t('notTestedText')}</PageEmpty>
  }
  const claims = Object.entries(tested.claims)
  return (
    <Card title={t('testTitle')}>
      <div className={classes.stack}>
        {tested.why === '' ? (
          <Alert color="green" variant="light" icon={<IconCheck size={18} />}>
            {tested.role === '' ? t('testNoRole') : t('testRole', { role: tested.role })}
          </Alert>
        ) : (
          <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
            {`${tested.detail} (${tested.why}${tested.said === '' ? '' : `, ${tested.said}`})`}
          </Alert>
        )}
        {claims.length > 0 && (
          <dl className={classes.values}>
            {claims.map(([name, value]) => (
              <div key={name} style={{ display: 'contents' }}>
                <dt>{name}</dt>
                <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
              </div>
            ))}
          </dl>
        )}
      </div>
    </Card>
  )
}
