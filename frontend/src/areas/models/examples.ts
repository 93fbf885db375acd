/** What fields show while they are empty: names, which are the same in every language. */
export const EXAMPLE = {
  pull: 'qwen3:0.6b',
  made: 'poet:latest',
  from: 'smollm2:135m',
  copy: 'mine:latest',
  alias: 'gpt-4o',
  labels: 'gpu=h100, tier=gold',
  taint: 'gpu=h100:no_schedule',
  toleration: 'gpu=h100',
  time: '22:00',
  timeUntil: '06:00',
  schedule: '* 8-17 * * mon-fri: 2-4 Europe/Berlin',
  parameters: 'temperature 0.2\nnum_ctx 4096',
} as const
