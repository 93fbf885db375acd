/** One experiment: what it asks for, the run under way, and the reports of those before. */
import { Button, Group } from '@mantine/core'
import { IconClock, IconHandStop, IconPlayerPlay, IconTrash } from '@tabler/icons-react'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  useExperiment,
  useExperimentActs,
  useHosts,
  useRuns,
  type Experiment,
  type Host,
} from '../../api/experiments'
import { useMay } from '../../api/session'
import { act, attempt } from '../../ui/act'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { count, dateTime, duration, share, span } from '../../ui/format'
import { Page } from '../../ui/Page'
import { Loaded, PageEmpty } from '../../ui/PageState'
import { Outcome } from './Outcome'
import { Report } from './Report'
import { Schedule } from './Schedule'

export function ExperimentPage() {
  const { experimentId } = useParams({ strict: false })
  const experiment = useExperiment(experimentId ?? '')
  return <Loaded query={experiment}>{(found) => <Found experiment={found} />}</Loaded>
}

function Found({ experiment }: { experiment: Experiment }) {
  const { t } = useTranslation('experiments')
  const runs = useRuns(experiment.id)
  const hosts = useHosts()
  const named = (id: string) => hosts.data?.find((host) => host.id === id)?.name ?? id
  const isRunning = runs.data?.[0]?.state === 'running'
  return (
    <Page
      title={experiment.name}
      documentTitle={`${experiment.name} · ${t('title')}`}
      beside={
        (isRunning || experiment.last_state !== null) && (
          <Outcome state={isRunning ? 'running' : experiment.last_state} verdict={experiment.last_verdict} />
        )
      }
      lead={t(`faultText.${experiment.fault}`)}
      actions={<Acts experiment={experiment} isRunning={isRunning} />}
    >
      <Card title={t('terms')}>
        <Terms experiment={experiment} hosts={hosts.data ?? []} />
      </Card>
      <Loaded
        query={runs}
        isEmpty={(found) => found.length === 0}
        empty={<PageEmpty title={t('noRuns')}>{t('noRunsText')}</PageEmpty>}
      >
        {(found) => found.map((run) => <Report key={run.id} run={run} named={named} />)}
      </Loaded>
    </Page>
  )
}

function Terms({ experiment, hosts }: { experiment: Experiment; hosts: readonly Host[] }) {
  const { t } = useTranslation('experiments')
  const { hypothesis, abort } = experiment
  const bounds = [
    hypothesis.failed_share == null ? null : t('atMostFailed', { share: share(hypothesis.failed_share) }),
    hypothesis.first_token_p95_ms == null
      ? null
      : t('atMostFirstToken', { time: duration(hypothesis.first_token_p95_ms) }),
    hypothesis.recovery_seconds == null
      ? null
      : t('atMostRecovery', { time: span(hypothesis.recovery_seconds) }),
  ].filter((each) => each !== null)
  const nodes = (ids: readonly string[], withConsent: boolean) =>
    ids.map((id, place) => {
      const host = hosts.find((each) => each.id === id)
      return (
        <span key={id}>
          {place > 0 && ', '}
          <Link to="/nodes/$nodeId" params={{ nodeId: id }}>
            {host?.name ?? id}
          </Link>
          {withConsent && host?.faults.includes(experiment.fault) === false && ` (${t('notAllowed')})`}
        </span>
      )
    })
  return (
    <Facts>
      <Fact name={t('fault')}>{t(`faults.${experiment.fault}`)}</Fact>
      <Fact name={t('nodes')}>{nodes(experiment.nodes, true)}</Fact>
      <Fact name={t('atOnce')}>{count(experiment.at_once)}</Fact>
      <Fact name={t('hypothesis')}>{bounds.join(' · ')}</Fact>
      <Fact name={t('control')}>
        {experiment.control === 'phases' ? t('controls.phases') : nodes(experiment.control_nodes, false)}
      </Fact>
      <Fact name={t('phases')}>
        {t('phasesOf', { count: experiment.repeats, seconds: span(experiment.seconds) })}
      </Fact>
      {experiment.fault === 'slow_answers' && (
        <Fact name={t('milliseconds')}>{duration(experiment.milliseconds)}</Fact>
      )}
      <Fact name={t('abort')}>
        {t('abortAt', { share: share(abort.failed_share), requests: count(abort.requests) })}
      </Fact>
      <Fact name={t('schedule')}>
        {experiment.next_at === null
          ? t('byHand')
          : t('nextAt', { count: experiment.every_hours ?? 0, when: dateTime(experiment.next_at) })}
      </Fact>
    </Facts>
  )
}

function Acts({ experiment, isRunning }: { experiment: Experiment; isRunning: boolean }) {
  const { t } = useTranslation('experiments')
  const mayManage = useMay('experiment.manage')
  const { run, stop, remove } = useExperimentActs()
  const navigate = useNavigate()
  const [isScheduling, setScheduling] = useState(false)
  if (!mayManage) return null
  if (isRunning)
    return (
      <Button
        color="red"
        leftSection={<IconHandStop size={16} />}
        loading={stop.isPending}
        onClick={() => void attempt(() => stop.mutateAsync(experiment.id), t('stoppedNow'))}
      >
        {t('stop')}
      </Button>
    )
  const begin = {
    title: t('runTitle', { name: experiment.name }),
    consequence: t('runText', { fault: t(`faults.${experiment.fault}`), count: experiment.at_once }),
    action: t('run'),
    danger: true,
  }
  const end = {
    title: t('deleteTitle', { name: experiment.name }),
    consequence: t('deleteText'),
    action: t('delete'),
    danger: true,
  }
  const deleted = async () => {
    if (await act(end, () => remove.mutateAsync(experiment.id), t('deleted')))
      await navigate({ to: '/experiments' })
  }
  return (
    <Group gap="xs">
      <Button
        leftSection={<IconPlayerPlay size={16} />}
        loading={run.isPending}
        onClick={() => void act(begin, () => run.mutateAsync(experiment.id), t('begun'))}
      >
        {t('run')}
      </Button>
      <Button variant="default" leftSection={<IconClock size={16} />} onClick={() => setScheduling(true)}>
        {t('schedule')}
      </Button>
      <Button variant="default" leftSection={<IconTrash size={16} />} onClick={() => void deleted()}>
        {t('delete')}
      </Button>
      {isScheduling && <Schedule experiment={experiment} onClose={() => setScheduling(false)} />}
    </Group>
  )
}
