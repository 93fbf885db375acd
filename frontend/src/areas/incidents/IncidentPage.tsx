/** One incident: what it is about, what was found, whom it hit, and its course. */
import { Button, Group } from '@mantine/core'
import { IconBell, IconBellOff, IconCheck } from '@tabler/icons-react'
import { Link, useParams } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { useAcknowledge, useIncident, useSilence, type IncidentDetail } from '../../api/incidents'
import { useMay } from '../../api/session'
import { useRenewed } from '../../live/useRenewed'
import { Card } from '../../ui/Card'
import { Findings } from '../../ui/Findings'
import { count, dateTime, exactly, span, when } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded } from '../../ui/PageState'
import { done, failed } from '../../ui/toast'
import { useNow } from '../../ui/useNow'
import classes from './IncidentPage.module.css'
import { State } from './IncidentsPage'
import { isPrediction, Prediction } from './Prediction'
import { Recovery } from './Recovery'

const HOUR = 3600

export function IncidentPage() {
  const { incidentId } = useParams({ strict: false })
  useRenewed('incidents')
  const incident = useIncident(incidentId ?? '')
  return <Loaded query={incident}>{(found) => <Found incident={found} />}</Loaded>
}

function Found({ incident }: { incident: IncidentDetail }) {
  const { t } = useTranslation('incidents')
  const kind = t(`kinds.${incident.kind}`, { defaultValue: incident.kind })
  const since = incident.opened_at
  return (
    <Page
      title={kind}
      documentTitle={`${kind} · ${t('title')}`}
      beside={<State incident={incident} />}
      lead={incident.text}
      actions={<Acts incident={incident} />}
    >
      <Card title={t('facts')}>
        <Facts incident={incident} />
      </Card>
      {isPrediction(incident) && <Prediction incident={incident} />}
      <Card title={t('evidence')} flush>
        <Findings findings={incident.evidence.map((each) => ({ ...each, since }))} />
      </Card>
      <Card title={t('timeline')}>
        <ol className={classes.steps}>
          {incident.timeline.map((step, place) => (
            <li key={`${step.at} ${String(place)}`} className={classes.step}>
              <time className={classes.at} title={exactly(step.at)}>
                {when(step.at)}
              </time>
              <span>
                <strong>{t(`step.${step.what}`)}</strong>
                {step.by !== '' && ` · ${step.by}`}
                {step.text !== '' && (
                  <span className={classes.more}>
                    {step.what === 'silenced' ? t('until', { when: dateTime(step.text) }) : step.text}
                  </span>
                )}
              </span>
            </li>
          ))}
        </ol>
      </Card>
    </Page>
  )
}

function Facts({ incident }: { incident: IncidentDetail }) {
  const { t } = useTranslation('incidents')
  const now = useNow()
  const seconds = incident.seconds ?? now - Date.parse(incident.opened_at) / 1000
  return (
    <dl className={classes.facts}>
      <Fact name={t('subject')}>
        <Subject incident={incident} />
      </Fact>
      <Fact name={t('opened')}>{dateTime(incident.opened_at)}</Fact>
      <Fact name={incident.state === 'open' ? t('lasts') : t('took')}>{span(seconds)}</Fact>
      {incident.fails_before !== null && incident.state === 'open' && (
        <Fact name={t('failsBefore')}>
          {dateTime(incident.fails_before)}
          {Date.parse(incident.fails_before) / 1000 > now &&
            ` · ${t('left', { span: span(Date.parse(incident.fails_before) / 1000 - now) })}`}
        </Fact>
      )}
      {incident.came_true !== null && (
        <Fact name={t('cameTrue')}>{t(incident.came_true ? 'itDid' : 'itDidNot')}</Fact>
      )}
      <Fact name={t('requestsHit')}>{hit(incident.requests_hit)}</Fact>
      <Fact name={t('tenantsHit')}>{hit(incident.tenants_hit)}</Fact>
      <Fact name={t('reopened')}>{count(incident.reopened)}</Fact>
      {incident.recovery !== null && (
        <Fact name={t('recovery')}>
          {incident.recovery.state === 'running'
            ? t(`recoveryAt.${incident.recovery.step}`)
            : t(`recoveryState.${incident.recovery.state}`)}
          {incident.recovery.seconds !== null && ` · ${span(incident.recovery.seconds)}`}
        </Fact>
      )}
      {incident.acknowledged_at !== null && <Fact name={t('by')}>{incident.acknowledged_by}</Fact>}
      {isSilent(incident, now) && (
        <Fact name={t('silenced')}>{t('until', { when: dateTime(incident.silenced_until ?? '') })}</Fact>
      )}
    </dl>
  )
}

const hit = (some: number | null): string => (some === null ? '–' : count(some))

const isSilent = (incident: IncidentDetail, now: number): boolean =>
  incident.silenced_until !== null && Date.parse(incident.silenced_until) / 1000 > now

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Subject({ incident }: { incident: IncidentDetail }) {
  const { t } = useTranslation('incidents')
  if (incident.about === 'node')
    return (
      <Link to="/nodes/$nodeId" params={{ nodeId: incident.subject_id }}>
        {incident.subject_name}
      </Link>
    )
  return incident.subject_name || t(`about.${incident.about}`)
}

function Acts({ incident }: { incident: IncidentDetail }) {
  const { t } = useTranslation('incidents')
  const now = useNow()
  const mayManage = useMay('node.manage')
  const acknowledge = useAcknowledge()
  const silence = useSilence()
  if (!mayManage) return null
  const silent = isSilent(incident, now)
  return (
    <Group gap="xs">
      <Recovery incident={incident} />
      {incident.state === 'open' && incident.acknowledged_at === null && (
        <Button
          leftSection={<IconCheck size={16} />}
          loading={acknowledge.isPending}
          onClick={() => {
            acknowledge.mutate(incident.id, { onSuccess: () => done(t('acknowledgedNow')), onError: failed })
          }}
        >
          {t('acknowledge')}
        </Button>
      )}
      <Button
        variant="default"
        leftSection={silent ? <IconBell size={16} /> : <IconBellOff size={16} />}
        loading={silence.isPending}
        onClick={() => {
          silence.mutate(
            { id: incident.id, seconds: silent ? 0 : HOUR },
            { onSuccess: () => done(t(silent ? 'toldAgain' : 'silencedNow')), onError: failed },
          )
        }}
      >
        {t(silent ? 'tell' : 'silence')}
      </Button>
    </Group>
  )
}
