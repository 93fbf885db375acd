// Generated from dashboard/messages.py and dashboard/payloads.py by `python -m dashboard.typescript`; a test compares them.

export interface Counts {
  nodes?: number
  healthy?: number
  degraded?: number
  draining?: number
  unhealthy?: number
  silent?: number
  capacity?: number
  running?: number
  queued?: number
}

export interface Engine {
  kind: 'llamacpp' | 'ollama' | 'openai'
  healthy: boolean
  version?: string | null
  error?: string | null
  hosts_blobs?: boolean
  running?: number | null
  waiting?: number | null
  kv_cache_percent?: number | null
  quarantined?: string[] | null
  restarting?: boolean
}

export interface FaultState {
  id: string
  fault: 'agent_freeze' | 'agent_kill' | 'engine_freeze' | 'engine_kill' | 'slow_answers'
  state: 'on' | 'over' | 'refused'
  why?: string
}

export interface FindingRow {
  key: string
  kind: 'fleet' | 'model' | 'node' | 'system'
  id: string
  name: string
  code: string
  severity: 'critical' | 'notice' | 'warning'
  text: string
  since: number
}

export interface FinishedRequest {
  request: string
  model: string
  node: string
  node_name: string
  api: string
  received_at: number
  prompt_tokens: number
  completion_tokens: number
  queue_ms: number | null
  first_token_ms: number | null
  duration_ms: number
  outcome: 'cancelled' | 'failed' | 'gateway_lost' | 'node_lost' | 'ok' | 'refused'
  error: string
}

export interface FleetChange {
  points: Point[]
}

export interface FleetShown {
  tenant: string
  series: Point[]
}

export interface Gpu {
  index: number
  name: string
  load_percent?: number | null
  memory_used?: number | null
  memory_total?: number | null
  temperature_celsius?: number | null
  power_watts?: number | null
  ecc_errors?: number | null
  ecc_corrected?: number | null
  power_limit_watts?: number | null
  slowdown_celsius?: number | null
  clock_mhz?: number | null
  clock_max_mhz?: number | null
  throttled?: ('hot' | 'power_brake' | 'power_limit' | 'slowed_by_hardware')[] | null
  xid?: number | null
  xid_seconds?: number | null
  remap_failed?: boolean | null
}

export interface GpuRow {
  count: number
  load_percent: number | null
  temperature_celsius: number | null
  memory_used: number | null
  memory_total: number | null
}

export interface HealthChange {
  state: 'degraded' | 'healthy' | 'unhealthy' | 'unknown'
  at: number | null
  counts: Counts
  changed: Record<string, FindingRow>
  gone: string[]
  whole?: boolean
}

export interface HealthShown {
  state: 'degraded' | 'healthy' | 'unhealthy' | 'unknown'
  at: number | null
  counts: Counts
  findings: FindingRow[]
}

export interface IncidentRow {
  id: string
  kind: string
  severity: string
  text: string
  about: string
  subject_id: string
  subject_name: string
  opened_at: number
  closed_at: number | null
  reopened: number
  acknowledged_by: string
  silenced_until: number | null
}

export interface IncidentsShown {
  incidents: IncidentRow[]
  open: number
}

export interface JobRow {
  id: string
  kind: string
  model: string
  state: 'cancelled' | 'done' | 'failed' | 'running' | 'waiting'
  step: string
  done: number | null
  total: number | null
  error: string
  actor_name: string
  created_at: number
  started_at: number | null
  finished_at: number | null
}

export interface JobsShown {
  jobs: JobRow[]
}

export interface LiveNode {
  id: string
  name: string
  draining: boolean
  state: NodeState | null
  last_seen: number | null
  shared: boolean
  region: string
  labels: Record<string, string>
  hourly_cost: number | null
}

export interface ModelPatch {
  name?: string
  nodes?: number
  loaded?: number
  failed?: number
  fetching?: number
  bytes_done?: number | null
  bytes_total?: number | null
  running?: number
}

export interface ModelRow {
  name: string
  nodes: number
  loaded: number
  failed: number
  fetching: number
  bytes_done: number | null
  bytes_total: number | null
  running: number
}

export interface ModelState {
  version: string
  name: string
  state: 'failed' | 'fetching' | 'loaded' | 'loading' | 'present' | 'ready'
  engine: 'llamacpp' | 'ollama' | 'openai'
  size?: number | null
  memory?: number | null
  vram?: number | null
  bytes_done?: number | null
  error?: string | null
  context_length?: number | null
  expires_at?: number | null
  expires_in?: number | null
  bytes_per_second?: number | null
  bytes_of_peers?: number | null
  slots?: number | null
}

export interface ModelsChange {
  changed: Record<string, ModelPatch>
  gone: string[]
  whole?: boolean
}

export interface ModelsShown {
  models: ModelRow[]
}

export interface NodeDetails {
  nodes: LiveNode[]
  gone: string[]
}

export interface NodePatch {
  id?: string
  name?: string
  state?: 'draining' | 'ready' | 'silent'
  last_seen?: number | null
  shared?: boolean
  region?: string
  labels?: Record<string, string>
  hourly_cost?: number | null
  agent_version?: string | null
  engines?: string[]
  problem?: string | null
  capacity?: number | null
  running?: number | null
  waiting?: number | null
  tokens_per_second?: number | null
  cpu_percent?: number | null
  memory_used?: number | null
  memory_total?: number | null
  disk_used?: number | null
  disk_total?: number | null
  gpu?: GpuRow | null
  models?: number | null
  loaded?: string[]
  lifecycle?: string
}

export interface NodeRow {
  id: string
  name: string
  state: 'draining' | 'ready' | 'silent'
  last_seen: number | null
  shared: boolean
  region: string
  labels: Record<string, string>
  hourly_cost: number | null
  agent_version: string | null
  engines: string[]
  problem: string | null
  capacity: number | null
  running: number | null
  waiting: number | null
  tokens_per_second: number | null
  cpu_percent: number | null
  memory_used: number | null
  memory_total: number | null
  disk_used: number | null
  disk_total: number | null
  gpu: GpuRow | null
  models: number | null
  loaded: string[]
  lifecycle?: string
}

export interface NodeState {
  node: string
  tenant: string
  boot: string
  seq: number
  at: number
  agent_version: string
  engines: Engine[]
  capacity: number
  running: number
  waiting: number
  tokens_per_second: number
  models: ModelState[]
  cpu_percent: number
  cpu_count: number
  memory_used: number
  memory_total: number
  disk_used: number
  disk_total: number
  network_received_per_second: number
  network_sent_per_second: number
  gpus?: Gpu[]
  gpu_note?: string | null
  draining?: boolean
  clock_skew_seconds?: number | null
  tokens_total?: number | null
  silence?: Silence | null
  peer?: PeerPlace | null
  models_digest?: string
  faults?: ('agent_freeze' | 'agent_kill' | 'engine_freeze' | 'engine_kill' | 'slow_answers')[]
  fault?: FaultState | null
}

export interface NodesChange {
  changed: Record<string, NodePatch>
  gone: string[]
  total: number
  whole?: boolean
}

export interface NodesShown {
  nodes: NodeRow[]
  total: number
}

export interface PeerPlace {
  address: string
  port: number
}

export interface Point {
  at: number
  nodes: number
  nodes_up: number
  capacity: number | null
  running: number | null
  waiting: number | null
  tokens_per_second: number | null
  queued?: number | null
}

export interface QueueShown {
  waiting: WaitingRequest[]
  waiting_total: number
}

export interface Refused {
  type: 'error'
  code: 'forbidden' | 'invalid_message' | 'too_many_subscriptions' | 'unavailable' | 'unknown_topic'
  detail: string
  id?: string | null
}

export interface RequestsChange {
  running: RunningRequest[]
  ended: string[]
  running_total: number
  finished: FinishedRequest[]
  whole?: boolean
}

export interface RequestsShown {
  running: RunningRequest[]
  running_total: number
  finished: FinishedRequest[]
}

export interface RunningRequest {
  request: string
  model: string
  node: string
  node_name: string
  api: string
  received_at: number
  attempt: number
}

export interface Silence {
  seconds: number
  limit: number
  phase: 'loading' | 'reading' | 'writing'
  model?: string
}

export interface StillThere {
  type: 'alive'
  at: number
}

export interface Subscribe {
  type: 'subscribe'
  topic: string
  id?: string | null
  after?: number | null
  ids?: string[] | null
  limit?: number | null
}

export interface SystemShown {
  state: 'degraded' | 'healthy' | 'unhealthy' | 'unknown'
  at: number | null
  findings: FindingRow[]
}

export interface TopicEnded {
  type: 'ended'
  id: string
  topic: string
  code: 'forbidden' | 'unavailable' | 'unsubscribed'
  detail: string
}

export interface TopicEvent {
  type: 'event'
  id: string
  topic: string
  since: number
  seq: number
  at: number
  data: unknown
}

export interface TopicSnapshot {
  type: 'snapshot'
  id: string
  topic: string
  seq: number
  at: number
  reason: 'behind' | 'subscribed'
  data: unknown
}

export interface Trail {
  entries: TrailEntry[]
}

export interface TrailEntry {
  number: number
  at: number
  action: string
  actor_kind: string
  actor_name: string
  target_type: string
  target_id: string
}

export interface Unsubscribe {
  type: 'unsubscribe'
  id: string
}

export interface WaitingRequest {
  request: string
  model: string
  api: string
  priority: 'high' | 'low' | 'normal'
  received_at: number
  position: number
  expected_wait_ms: number | null
}

export interface Welcome {
  type: 'welcome'
  tenant: string
  topics: string[]
}

/** What a subscription begins with, and what its events tell. */
export interface Topics {
  fleet: { shown: FleetShown; change: FleetChange }
  health: { shown: HealthShown; change: HealthChange }
  system: { shown: SystemShown; change: SystemShown }
  nodes: { shown: NodesShown; change: NodesChange }
  node: { shown: NodeDetails; change: NodeDetails }
  models: { shown: ModelsShown; change: ModelsChange }
  requests: { shown: RequestsShown; change: RequestsChange }
  queue: { shown: QueueShown; change: QueueShown }
  jobs: { shown: JobsShown; change: JobsShown }
  incidents: { shown: IncidentsShown; change: IncidentsShown }
  keys: { shown: Trail; change: Trail }
  audit: { shown: Trail; change: Trail }
}

export type FromServer = Welcome | TopicSnapshot | TopicEvent | TopicEnded | Refused | StillThere
