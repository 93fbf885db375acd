import { expect, test } from 'vitest'
import type { FleetProblem } from '../../api/health'
import type { NodeRow } from '../../live/types'
import { hyphened, rowsOf } from './rows'

const ID = '0123456789abcdef0123456789abcdef'

const view = (name: string, state: NodeRow['state'] = 'ready'): NodeRow => ({
  id: name,
  name,
  state,
  last_seen: 1,
  shared: false,
  region: '',
  labels: {},
  hourly_cost: null,
  agent_version: null,
  engines: [],
  problem: null,
  capacity: 4,
  running: 0,
  waiting: 0,
  tokens_per_second: 0,
  cpu_percent: null,
  memory_used: null,
  memory_total: null,
  disk_used: null,
  disk_total: null,
  gpu: null,
  models: 0,
  loaded: [],
})

const problem = (severity: FleetProblem['severity']): FleetProblem => ({
  code: 'gpu_hot',
  severity,
  text: 'It is hot.',
  since: '2026-01-01T00:00:00Z',
  kind: 'node',
  id: ID,
  name: 'n',
})

test('the worst node stands first, and equals stand by name', () => {
  const rows = rowsOf(
    [
      view('n10'),
      view('n9'),
      view('drains', 'draining'),
      view('hot'),
      view('mute', 'silent'),
      view('frozen'),
    ],
    new Map([
      ['hot', [problem('warning')]],
      ['frozen', [problem('critical')]],
      ['drains', [problem('notice')]],
    ]),
    true,
  )
  expect(rows.map((row) => [row.name, row.condition])).toEqual([
    ['mute', 'silent'],
    ['frozen', 'unhealthy'],
    ['hot', 'degraded'],
    ['drains', 'draining'],
    ['n9', 'healthy'],
    ['n10', 'healthy'],
  ])
})

test('nobody is healthy while nobody judges', () => {
  expect(rowsOf([view('n1')], new Map(), false)[0]?.condition).toBe('unknown')
})

test('an id has its hyphens in addresses', () => {
  expect(hyphened(ID)).toBe('01234567-89ab-cdef-0123-456789abcdef')
  expect(hyphened(hyphened(ID))).toBe('01234567-89ab-cdef-0123-456789abcdef')
})
