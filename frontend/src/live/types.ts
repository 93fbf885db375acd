// Generated from dashboard/payloads.py by `python -m dashboard.typescript`; a test compares them.

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

export interface Frame {
  type: 'frame'
  seq: number
  at: number
  nodes: LiveNode[]
  gone: string[]
  running: RunningRequest[]
  running_total: number
  waiting: WaitingRequest[]
  waiting_total: number
  finished: FinishedRequest[]
  point: Point
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
  slots?: number | null
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
  models_digest?: string
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

export interface RunningRequest {
  request: string
  model: string
  node: string
  node_name: string
  api: string
  received_at: number
  attempt: number
}

export interface Snapshot {
  type: 'snapshot'
  seq: number
  at: number
  tenant: string
  nodes: LiveNode[]
  running: RunningRequest[]
  running_total: number
  waiting: WaitingRequest[]
  waiting_total: number
  finished: FinishedRequest[]
  series: Point[]
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

export type Message = Snapshot | Frame
