/** One node with what it measured itself in the last second. */
import { useId } from 'react'
import type { TFunction } from 'i18next'
import { useTranslation } from 'react-i18next'
import type { NodeView } from '../../live/topics'
import type { Engine, Gpu, ModelState, NodeState } from '../../live/types'
import { STALE_AFTER } from '../../live/useLive'
import { bytes, bytesOf, count, percent, perSecond, rate, span } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import { Meter } from '../../ui/Meter'
import { Tag, type Tone } from '../../ui/Tag'
import classes from './NodeCard.module.css'

interface NodeCardProps {
  node: NodeView
  /** This browser's own clock (ms). */
  clock: number
}

export function NodeCard({ node, clock }: NodeCardProps) {
  const { t } = useTranslation('nodes')
  const id = useId()
  const { state } = node
  const age = (clock - node.heardAt) / 1000
  const stale = state !== null && age * 1000 > STALE_AFTER
  const told = wordOf(node, stale)
  const place = placeOf(node, t)
  return (
    <article
      className={classes.card}
      aria-labelledby={id}
      data-stale={stale || state === null}
      data-silent={state === null}
    >
      <div className={classes.head}>
        <span className={classes.icon}>
          <Icon name="server" />
        </span>
        <div className={classes.names}>
          <h2 id={id} className={classes.name}>
            {node.name}
          </h2>
          {state !== null && <p className={classes.engines}>{state.engines.map(engineName).join(' · ')}</p>}
        </div>
        <div className={classes.tags}>
          {node.shared && <Tag tone="plain">{t('card.shared')}</Tag>}
          {node.draining && <Tag tone="warn">{t('card.draining')}</Tag>}
          {told !== null && <Tag tone={told.tone}>{t(`card.state.${told.word}`)}</Tag>}
        </div>
      </div>
      {place !== '' && <p className={classes.place}>{place}</p>}
      {state === null ? (
        <p className={classes.silent}>
          {node.last_seen === null ? t('card.notReported') : t('card.noData', { span: span(age) })}
        </p>
      ) : (
        <Reported state={state} age={age} stale={stale} />
      )}
    </article>
  )
}

const SKEW_SECONDS = 2

function Reported({ state, age, stale }: { state: NodeState; age: number; stale: boolean }) {
  const { t } = useTranslation('nodes')
  const gpus = state.gpus ?? []
  return (
    <>
      {state.engines
        .filter((engine) => !engine.healthy)
        .map((engine) => (
          <p key={engine.kind} className={classes.error}>
            {engine.kind}: {engine.error ?? t('card.noAnswer')}
          </p>
        ))}
      <dl className={classes.numbers}>
        <Number
          name={t('running')}
          value={t('card.ofAll', { some: count(state.running), all: count(state.capacity) })}
        />
        <Number name={t('card.waiting')} value={count(state.waiting)} />
        <Number name={t('speed')} value={perSecond(state.tokens_per_second)} />
        <Number
          name={t('card.lastSeen')}
          value={stale ? t('card.ago', { span: span(age) }) : t('card.now')}
        />
      </dl>
      {Math.abs(state.clock_skew_seconds ?? 0) >= SKEW_SECONDS && (
        <p className={classes.note}>
          {t((state.clock_skew_seconds ?? 0) > 0 ? 'card.clockAhead' : 'card.clockBehind', {
            span: span(Math.abs(state.clock_skew_seconds ?? 0)),
          })}
        </p>
      )}
      <div className={classes.meters}>
        <Meter
          label={t('card.cpu', { count: state.cpu_count })}
          text={`${state.cpu_percent.toFixed(0)} %`}
          percent={state.cpu_percent}
        />
        <Meter
          label={t('memory')}
          text={bytesOf(state.memory_used, state.memory_total)}
          percent={percent(state.memory_used, state.memory_total)}
        />
        <Meter
          label={t('card.disk')}
          text={bytesOf(state.disk_used, state.disk_total)}
          percent={percent(state.disk_used, state.disk_total)}
        />
        {state.engines.map(
          (engine) =>
            engine.kv_cache_percent != null && (
              <Meter
                key={engine.kind}
                label={t('card.cache')}
                text={`${engine.kv_cache_percent.toFixed(0)} %`}
                percent={engine.kv_cache_percent}
              />
            ),
        )}
        <div className={classes.network}>
          <span className={classes.label}>{t('card.network')}</span>
          <span className={classes.flow}>
            <span title={t('card.received')}>
              <span aria-hidden="true">↓ </span>
              <span className="sr-only">{t('card.received')} </span>
              {rate(state.network_received_per_second)}
            </span>
            <span title={t('card.sent')}>
              <span aria-hidden="true">↑ </span>
              <span className="sr-only">{t('card.sent')} </span>
              {rate(state.network_sent_per_second)}
            </span>
          </span>
        </div>
      </div>
      <div className={classes.part}>
        <h3 className={classes.partTitle}>{t('card.gpus')}</h3>
        {gpus.length === 0 ? (
          <p className={classes.note}>{state.gpu_note ?? t('card.noGpu')}</p>
        ) : (
          <ul className={classes.gpus}>
            {gpus.map((gpu) => (
              <GpuLine key={gpu.index} gpu={gpu} />
            ))}
          </ul>
        )}
      </div>
      <div className={classes.part}>
        <h3 className={classes.partTitle}>{t('card.models')}</h3>
        {state.models.length === 0 ? (
          <p className={classes.note}>{t('card.noModel')}</p>
        ) : (
          <ul className={classes.models}>
            {state.models.map((model) => (
              <ModelLine key={`${model.engine} ${model.version} ${model.name}`} model={model} />
            ))}
          </ul>
        )}
      </div>
    </>
  )
}

function Number({ name, value }: { name: string; value: string }) {
  return (
    <div className={classes.number}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

function GpuLine({ gpu }: { gpu: Gpu }) {
  const { t } = useTranslation('nodes')
  const facts = [
    gpu.load_percent == null ? null : `${gpu.load_percent.toFixed(0)} %`,
    gpu.temperature_celsius == null ? null : `${gpu.temperature_celsius.toFixed(0)} °C`,
    gpu.power_watts == null ? null : `${gpu.power_watts.toFixed(0)} W`,
    gpu.ecc_errors == null || gpu.ecc_errors === 0 ? null : t('card.ecc', { count: gpu.ecc_errors }),
  ].filter((fact) => fact !== null)
  return (
    <li className={classes.gpu}>
      <div className={classes.gpuHead}>
        <span className={classes.gpuName}>
          {gpu.index}: {gpu.name}
        </span>
        <span className={classes.facts}>{facts.join(' · ')}</span>
      </div>
      {gpu.memory_used != null && gpu.memory_total != null && (
        <Meter
          label={t('memory')}
          text={bytesOf(gpu.memory_used, gpu.memory_total)}
          percent={percent(gpu.memory_used, gpu.memory_total)}
          high={98}
        />
      )}
    </li>
  )
}

const MODEL_TONE: Record<ModelState['state'], Tone> = {
  present: 'plain',
  fetching: 'accent',
  ready: 'plain',
  loading: 'accent',
  loaded: 'ok',
  failed: 'bad',
}

function ModelLine({ model }: { model: ModelState }) {
  const { t } = useTranslation('nodes')
  const size = model.memory ?? model.size
  const fetching = model.state === 'fetching' && model.bytes_done != null && model.size != null
  return (
    <li className={classes.model}>
      <span className={classes.modelName} title={model.version}>
        {model.name}
      </span>
      <span className={classes.modelSize}>
        {[
          size == null ? '' : model.memory == null ? bytes(size) : t('card.inMemory', { size: bytes(size) }),
          model.slots == null ? '' : t('card.slots', { count: model.slots }),
        ]
          .filter((part) => part !== '')
          .join(' · ')}
      </span>
      <Tag tone={MODEL_TONE[model.state]}>
        {t(`card.model.${model.state}`)}
        {fetching && ` ${Math.floor(percent(model.bytes_done ?? 0, model.size ?? 0))} %`}
      </Tag>
      {fetching && (
        <span className={classes.progress}>
          <Meter
            label={t('card.fetched')}
            text={bytesOf(model.bytes_done ?? 0, model.size ?? 0)}
            percent={percent(model.bytes_done ?? 0, model.size ?? 0)}
            high={101}
          />
        </span>
      )}
      {model.error != null && <span className={classes.modelError}>{model.error}</span>}
    </li>
  )
}

const ENGINE_NAME: Record<Engine['kind'], string> = {
  llamacpp: 'llama.cpp',
  ollama: 'Ollama',
  openai: 'OpenAI-compatible',
}

function engineName(engine: Engine): string {
  const name = ENGINE_NAME[engine.kind]
  return engine.version == null ? name : `${name} ${engine.version}`
}

/** What routing goes by besides telemetry: "eu · tier=gold · 1.25 an hour". */
function placeOf(node: NodeView, t: TFunction<'nodes'>): string {
  return [
    node.region,
    ...Object.entries(node.labels).map(([name, value]) => `${name}=${value}`),
    node.hourly_cost === null ? '' : t('card.anHour', { cost: String(node.hourly_cost) }),
  ]
    .filter((part) => part !== '')
    .join(' · ')
}

/** Why the card's numbers are old or missing, where they are. How the node is says the page, by the server's word. */
function wordOf(node: NodeView, stale: boolean): { word: 'joined' | 'offline' | 'stale'; tone: Tone } | null {
  if (node.state === null) return { word: node.last_seen === null ? 'joined' : 'offline', tone: 'bad' }
  return stale ? { word: 'stale', tone: 'warn' } : null
}
