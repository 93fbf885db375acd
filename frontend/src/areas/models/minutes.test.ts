import { expect, test } from 'vitest'
import { minutesOf, timeOf } from './minutes'

test('every minute of a day is read as it is written', () => {
  for (let minute = 0; minute < 24 * 60; minute += 1) expect(minutesOf(timeOf(minute))).toBe(minute)
})

test('what is no time of day is none', () => {
  for (const text of ['', '24:00', '12:60', '1', '12:5', 'noon', '-1:00']) expect(minutesOf(text)).toBeNull()
})
