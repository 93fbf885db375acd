import { expect, test } from 'vitest'
import { schedulesOf, schedulesText } from './schedules'

test('schedules are read as they are written', () => {
  const found = [
    { cron: '* 8-17 * * mon-fri', least: 2, most: 4, zone: 'Europe/Berlin' },
    { cron: '*/5 0 1 * *', least: 0, most: 0, zone: 'UTC' },
    { cron: '* * * * sat,sun', least: 1, most: null, zone: 'UTC' },
  ]
  expect(schedulesOf(schedulesText(found))).toEqual(found)
  expect(schedulesOf('\n  * 8-17 * *   mon-fri: 2 \n')).toEqual([
    { cron: '* 8-17 * * mon-fri', least: 2, most: null, zone: 'UTC' },
  ])
  expect(schedulesOf('')).toEqual([])
})

test('what is no schedule is none', () => {
  for (const text of [
    'often',
    '* * * *: 1',
    '* * * * *',
    '* * * * *: x',
    '* * * * *: 1-',
    '* * * * *: 1 a b',
  ])
    expect(schedulesOf(text)).toBeNull()
})
