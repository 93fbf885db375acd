/** One run: its phases with what was measured in each, the difference that the fault made, and whether the hypothesis held. */
import { Table } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { ExperimentRun } from '../../api/experiments'
import { Card } from '../../ui/Card'
import { Fact, Facts } from '../../ui/Facts'
import { clockTime, count, dateTime, duration, share, span } from '../../ui/format'
import { NoData } from '../../ui/NoData'
import { ScrollBox } from '../../ui/ScrollBox'
import { Outcome } from './Outcome'

type Phase = ExperimentRun['phases'][number]
type Judged = NonNullable<ExperimentRun['report']>['judged'][number]
type Difference = NonNullable<ExperimentRun['report']>['failed_share']

export function Report({ run, named }: { run: ExperimentRun; named: (id: string) => string }) {
  const { t } = useTranslation('experiments')
  const by = run.by_name === '' ? t('bySchedule') : run.by_name
  return (
    <Card
      title={t('runOf', { when: dateTime(run.began_at) })}
      aside={<Outcome state={run.state} verdict={run.report?.verdict ?? null} />}
    >
      <Facts>
        <Fact name={t('by')}>{by}</Fact>
        {run.step !== null && <Fact name={t('now')}>{t(`steps.${run.step}`)}</Fact>}
        {run.why !== '' && <Fact name={t('why')}>{run.why}</Fact>}
        {run.report?.judged.map((each) => (
          <Fact key={each.figure} name={t(`figures.${each.figure}`)}>
            {each.measured === null ? <NoData /> : told(each.figure, each.measured)} (
            {t('allowed', { bound: told(each.figure, each.allowed) })})
          </Fact>
        ))}
        {run.report != null && (
          <>
            <Fact name={t('moreFailed')}>
              <Interval of={run.report.failed_share} form={points} />
            </Fact>
            <Fact name={t('moreFirstToken')}>
              <Interval of={run.report.first_token_p95_ms} form={milliseconds} />
            </Fact>
          </>
        )}
      </Facts>
      <ScrollBox label={t('phases')} minWidth={720}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t('phase')}</Table.Th>
              <Table.Th>{t('from')}</Table.Th>
              <Table.Th>{t('nodes')}</Table.Th>
              <Table.Th ta="right">{t('requests')}</Table.Th>
              <Table.Th ta="right">{t('failed')}</Table.Th>
              <Table.Th ta="right">{t('lost')}</Table.Th>
              <Table.Th ta="right">{t('firstToken')}</Table.Th>
              <Table.Th ta="right">{t('recovery')}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {run.phases.map((phase) => (
              <Row key={phase.began_at} phase={phase} named={named} />
            ))}
          </Table.Tbody>
        </Table>
      </ScrollBox>
    </Card>
  )
}

function Row({ phase, named }: { phase: Phase; named: (id: string) => string }) {
  const { t } = useTranslation('experiments')
  const { figures, control_figures: others } = phase
  const beside = (value: (of: NonNullable<Phase['figures']>) => string | null) => {
    if (figures === null) return '–'
    const own = value(figures) ?? <NoData />
    return others === null ? (
      own
    ) : (
      <>
        {own} / {value(others) ?? <NoData />}
      </>
    )
  }
  return (
    <Table.Tr>
      <Table.Th scope="row">
        {t(phase.kind === 'fault' ? 'withFault' : 'withoutFault', { number: phase.pair + 1 })}
      </Table.Th>
      <Table.Td>{clockTime(phase.began_at)}</Table.Td>
      <Table.Td>{phase.kind === 'fault' ? phase.nodes.map(named).join(', ') : '–'}</Table.Td>
      <Table.Td ta="right">{beside((of) => count(of.requests))}</Table.Td>
      <Table.Td ta="right">
        {beside((of) =>
          of.failed_share === null ? null : `${count(of.failed)} (${share(of.failed_share)})`,
        )}
      </Table.Td>
      <Table.Td ta="right">{beside((of) => count(of.lost_before_token))}</Table.Td>
      <Table.Td ta="right">
        {beside((of) => (of.first_token_p95_ms === null ? null : duration(of.first_token_p95_ms)))}
      </Table.Td>
      <Table.Td ta="right">{phase.recovery_seconds === null ? '–' : span(phase.recovery_seconds)}</Table.Td>
    </Table.Tr>
  )
}

/** The mean over the pairs, and the interval that holds it with 95 % confidence. */
function Interval({ of, form }: { of: Difference; form: (value: number) => string }) {
  const { t } = useTranslation('experiments')
  if (of.mean === null) return <NoData />
  if (of.low === null || of.high === null) return <>{t('onePair', { mean: form(of.mean) })}</>
  return <>{t('interval', { mean: form(of.mean), low: form(of.low), high: form(of.high) })}</>
}

const signed = (value: number, digits: number): string => `${value > 0 ? '+' : ''}${value.toFixed(digits)}`
const points = (value: number): string => `${signed(value * 100, 1)} pp`
const milliseconds = (value: number): string => `${signed(value, 0)} ms`

function told(figure: Judged['figure'], value: number): string {
  if (figure === 'failed_share') return share(value)
  return figure === 'recovery_seconds' ? span(value) : duration(value)
}
