/** The last lines of the agent's or the engine's log, asked for live through the node; searched and followed. */
import { Button, SegmentedControl, Switch, TextInput } from '@mantine/core'
import { IconRefresh } from '@tabler/icons-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNodeLog, type LogSource } from '../../api/nodes'
import { Card, Empty } from '../../ui/Card'
import { Loaded } from '../../ui/PageState'
import classes from './NodePage.module.css'

const SOURCES = ['agent', 'engine'] as const

/** Nothing is asked of the node before somebody wants it: who reads a log is in the audit trail. */
export function NodeLog({ id }: { id: string }) {
  const { t } = useTranslation('nodes')
  const [opened, setOpened] = useState(false)
  return (
    <Card title={t('log')}>
      {opened ? (
        <Opened id={id} />
      ) : (
        <div className={classes.closed}>
          <p>{t('logText')}</p>
          <Button
            variant="default"
            onClick={() => {
              setOpened(true)
            }}
          >
            {t('logShow')}
          </Button>
        </div>
      )}
    </Card>
  )
}

function Opened({ id }: { id: string }) {
  const { t } = useTranslation('nodes')
  const [source, setSource] = useState<LogSource>('agent')
  const [follow, setFollow] = useState(true)
  const [text, setText] = useState('')
  const log = useNodeLog(id, source, follow)
  return (
    <>
      <div className={classes.logTools}>
        <SegmentedControl
          size="xs"
          aria-label={t('log')}
          data={SOURCES.map((value) => ({ value, label: t(`logOf.${value}`) }))}
          value={source}
          onChange={setSource}
        />
        <TextInput
          size="xs"
          type="search"
          aria-label={t('logSearch')}
          placeholder={t('logSearch')}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value)
          }}
        />
        <Switch
          size="xs"
          label={t('follow')}
          checked={follow}
          onChange={(event) => {
            setFollow(event.currentTarget.checked)
          }}
        />
        {!follow && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconRefresh size={14} />}
            loading={log.isFetching}
            onClick={() => void log.refetch()}
          >
            {t('logAgain')}
          </Button>
        )}
      </div>
      <Loaded query={log}>
        {({ lines, note }) =>
          lines.length === 0 ? (
            <Empty title={note || t('logEmpty')} />
          ) : (
            <Lines lines={lines} text={text} follow={follow} />
          )
        }
      </Loaded>
    </>
  )
}

interface LinesProps {
  lines: readonly { number: number; text: string }[]
  text: string
  follow: boolean
}

function Lines({ lines, text, follow }: LinesProps) {
  const { t } = useTranslation('nodes')
  const box = useRef<HTMLPreElement>(null)
  const wanted = text.trim().toLowerCase()
  const found = useMemo(
    () => (wanted === '' ? lines : lines.filter((line) => line.text.toLowerCase().includes(wanted))),
    [lines, wanted],
  )
  useEffect(() => {
    if (follow && box.current !== null) box.current.scrollTop = box.current.scrollHeight
  }, [found, follow])
  return (
    <>
      <pre ref={box} className={classes.log} tabIndex={0} role="log" aria-label={t('log')} aria-live="off">
        {found.map((line) => `${line.text}\n`).join('')}
      </pre>
      <p className={classes.logCount}>{t('logLines', { count: found.length, all: lines.length })}</p>
    </>
  )
}
