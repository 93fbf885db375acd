/** The way to a new model by a bundle: a file is picked, sent, verified and taken in, and what it brought is shown. */
import { Alert, Anchor, Button, FileInput, Progress } from '@mantine/core'
import { IconAlertTriangle, IconFileUpload } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { importBundle, useChannelIds } from '../../api/bundles'
import { Problem, sentence } from '../../api/client'
import { isOpen, useCancelJob, useJob, type Job } from '../../api/jobs'
import { useModelsChanged } from '../../api/models'
import type { UploadProgress } from '../../api/uploads'
import { Command } from '../../ui/Command'
import { Dialog } from '../../ui/Dialog'
import { bytesOf, percent, rate, span } from '../../ui/format'
import { failed } from '../../ui/toast'
import classes from './ImportBundle.module.css'
import { speedOf, type Sample } from './speed'

interface Props {
  opened: boolean
  onClose: () => void
  /** The choice among the ways, which stands above the form. */
  choice: ReactNode
}

export function ImportBundle({ opened, onClose, choice }: Props) {
  const { t } = useTranslation('models')
  const sending = useSending()
  const { job, progress } = sending
  return (
    <Dialog opened={opened} onClose={onClose} title={t('newModel')} held={progress !== null}>
      <div className={classes.parts}>
        {progress === null && choice}
        {job !== null ? (
          <Followed key={job} id={job} onAgain={sending.send} onClose={onClose} />
        ) : progress !== null ? (
          <Sent progress={progress} onStop={sending.stop} />
        ) : (
          <Picked sending={sending} />
        )}
      </div>
    </Dialog>
  )
}

type Sending = ReturnType<typeof useSending>

function useSending() {
  const [file, setFile] = useState<File | null>(null)
  const [progress, setProgress] = useState<(UploadProgress & Pace) | null>(null)
  const [failure, setFailure] = useState<{ text: string; passes: boolean } | null>(null)
  const [job, setJob] = useState<string | null>(null)
  const stopping = useRef<AbortController | null>(null)
  useEffect(() => () => stopping.current?.abort(), [])
  useLeaveAsked(progress !== null)
  const send = async () => {
    if (file === null) return
    const abort = new AbortController()
    stopping.current = abort
    setJob(null)
    setFailure(null)
    let samples: readonly Sample[] = []
    let step: UploadProgress['step'] | null = null
    const tell = (told: UploadProgress) => {
      const { speed, kept } = speedOf(told.step === step ? samples : [], {
        at: performance.now(),
        done: told.done,
      })
      samples = kept
      step = told.step
      setProgress({ ...told, speed })
    }
    tell({ step: 'hashing', done: 0, total: file.size })
    try {
      const begun = await importBundle(file, tell, abort.signal)
      setJob(begun.id)
    } catch (error) {
      const passes = error instanceof Problem && (error.code === 'unreachable' || error.status >= 500)
      if (!abort.signal.aborted) setFailure({ text: sentence(error), passes })
    } finally {
      setProgress(null)
    }
  }
  return {
    file,
    pick: (picked: File | null) => {
      setFailure(null)
      setFile(picked)
    },
    progress,
    failure,
    job,
    send: () => void send(),
    stop: () => stopping.current?.abort(),
  }
}

/** The browser asks whether the page may be left: what is being sent would break off. */
function useLeaveAsked(busy: boolean) {
  useEffect(() => {
    if (!busy) return
    const ask = (event: BeforeUnloadEvent) => {
      event.preventDefault()
    }
    window.addEventListener('beforeunload', ask)
    return () => {
      window.removeEventListener('beforeunload', ask)
    }
  }, [busy])
}

function Picked({ sending }: { sending: Sending }) {
  const { t } = useTranslation('models')
  const { file, failure } = sending
  return (
    <form
      className={classes.parts}
      onSubmit={(event) => {
        event.preventDefault()
        sending.send()
      }}
    >
      <FileInput
        label={t('bundleImport.file')}
        description={t('bundleImport.text')}
        placeholder={t('bundleImport.pick')}
        leftSection={<IconFileUpload size={16} />}
        accept=".tar,application/x-tar"
        clearable
        clearButtonProps={{ 'aria-label': t('bundleImport.clear') }}
        value={file}
        onChange={sending.pick}
        error={file?.size === 0 ? t('bundleImport.empty') : undefined}
      />
      {failure !== null && (
        <Failed>
          {failure.text} {failure.passes && t('bundleImport.goesOn')}
        </Failed>
      )}
      <Button type="submit" disabled={file === null || file.size === 0} className={classes.act}>
        {t('bundleImport.import')}
      </Button>
    </form>
  )
}

/** Bytes a second; `null` while too little came to say. */
interface Pace {
  speed: number | null
}

function Sent({ progress, onStop }: { progress: UploadProgress & Pace; onStop: () => void }) {
  const { t } = useTranslation('models')
  return (
    <>
      <HowFar words={t(`bundleImport.${progress.step}`)} {...progress} />
      <p className={classes.muted}>{t('bundleImport.stopText')}</p>
      <Button variant="default" className={classes.act} onClick={onStop}>
        {t('bundleImport.stop')}
      </Button>
    </>
  )
}

function HowFar({ words, done, total, speed }: { words: string; done: number; total: number } & Pace) {
  const { t } = useTranslation('models')
  const paced = speed !== null && speed > 0
  return (
    <div>
      <p aria-live="polite">{words}</p>
      <Progress value={percent(done, total)} aria-label={words} my={6} />
      {total > 0 && (
        <p className={classes.muted}>
          {bytesOf(done, total)}
          {paced && ` · ${t('replication.left', { speed: rate(speed), time: span((total - done) / speed) })}`}
        </p>
      )}
    </div>
  )
}

function Followed({ id, onAgain, onClose }: { id: string; onAgain: () => void; onClose: () => void }) {
  const { t } = useTranslation('models')
  const found = useJob(id)
  const cancel = useCancelJob()
  const renew = useModelsChanged()
  const job = found.data
  const state = job?.state
  useEffect(() => {
    if (state === 'done') renew()
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [state])
  if (job === undefined) {
    if (found.error !== null) return <Failed>{sentence(found.error)}</Failed>
    return <HowFar words={t('bundleImport.waiting')} done={0} total={0} speed={null} />
  }
  return (
    <>
      {isOpen(job) ? (
        <HowFar
          words={job.progress.at(-1)?.status ?? t('bundleImport.waiting')}
          done={job.bytes_done ?? 0}
          total={job.bytes_total ?? 0}
          speed={job.bytes_per_second ?? null}
        />
      ) : (
        <Ended job={job} onAgain={onAgain} onClose={onClose} />
      )}
      <div className={classes.acts}>
        <Anchor renderRoot={(props) => <Link {...props} to="/jobs" />} size="sm">
          {t('showJobs')}
        </Anchor>
        {isOpen(job) ? (
          <Button
            variant="default"
            loading={cancel.isPending}
            onClick={() => {
              cancel.mutateAsync(job.id).catch(failed)
            }}
          >
            {t('bundleImport.cancel')}
          </Button>
        ) : (
          <Button variant="default" onClick={onClose}>
            {t('bundleImport.close')}
          </Button>
        )}
      </div>
    </>
  )
}

function Ended({ job, onAgain, onClose }: { job: Job; onAgain: () => void; onClose: () => void }) {
  const { t } = useTranslation('models')
  const ids = useChannelIds(job.imported)
  if (job.state === 'done') {
    return (
      <div role="status">
        <p>{t('bundleImport.done', { count: job.imported.length })}</p>
        <ul className={classes.list}>
          {job.imported.map((name) => {
            const id = ids.data?.get(name)
            return (
              <li key={name}>
                {id === undefined ? (
                  name
                ) : (
                  <Link to="/models/$id" params={{ id }} onClick={onClose}>
                    {name}
                  </Link>
                )}
              </li>
            )
          })}
        </ul>
      </div>
    )
  }
  if (job.state === 'cancelled') return <p role="status">{t('bundleImport.cancelled')}</p>
  return (
    <>
      <Failed>{job.error}</Failed>
      {job.error_code === 'signer_not_trusted' && (
        <>
          <p>{t('bundleImport.trustText')}</p>
          <Command label={t('bundleImport.trust')} text={'ollamamax bundle signers --trust NAME=KEY'} />
        </>
      )}
      <Button className={classes.act} onClick={onAgain}>
        {t('bundleImport.again')}
      </Button>
    </>
  )
}

function Failed({ children }: { children: ReactNode }) {
  return (
    <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} />} role="alert">
      {children}
    </Alert>
  )
}
