import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { preference } from '../app/preferences'
import { startTexts } from '../i18n'
import * as format from './format'

const AT = Date.UTC(2026, 10, 28, 23, 30, 5) / 1000

beforeEach(() => {
  vi.spyOn(navigator, 'languages', 'get').mockReturnValue(['en-US'])
  preference.set('zone', 'UTC')
})
afterEach(() => preference.set('zone', null))

describe('sizes and shares', () => {
  it.each([
    [0, '0 B'],
    [1023, '1,023 B'],
    [1536, '1.5 KiB'],
    [100 * 2 ** 20, '100 MiB'],
    [2 ** 60, '1,024 PiB'],
  ])('writes %i bytes as %s', (value, text) => expect(format.bytes(value)).toBe(text))

  it('writes what is used in the unit of the whole', () => {
    expect(format.bytesOf(9.1 * 2 ** 30, 16 * 2 ** 30)).toBe('9.1 / 16 GiB')
    expect(format.bytesOf(0, 0)).toBe('0 / 0 B')
  })

  it('writes a share without more digits than say something', () => {
    expect([0, 0.0512, 0.512, 1].map(format.share)).toEqual(['0%', '5.1%', '51%', '100%'])
  })

  it('writes money in its currency, and a price below a cent so that it is seen', () => {
    expect(format.money(1234.5, 'EUR')).toBe('€1,234.50')
    expect(format.money(0.00012, 'USD')).toBe('$0.00012')
    expect(format.money(2.5, '')).toBe('2.50')
  })
})

describe('durations', () => {
  it.each([
    [0.84, '0.8 ms'],
    [82.4, '82 ms'],
    [1240, '1.24 s'],
    [125_000, '2 min 5 s'],
    [11_400_000, '3 h 10 min'],
    [187_200_000, '2 d 4 h'],
  ])('writes %f ms as %s', (ms, text) => expect(format.duration(ms)).toBe(text))

  it('writes an estimate no finer than it is', () => {
    expect([400, 12_300].map(format.expected)).toEqual(['under 1 s', '12 s'])
  })
})

describe('times', () => {
  it('are of the chosen zone', () => {
    expect(format.clockTime(AT)).toBe('23:30:05')
    preference.set('zone', 'Asia/Tokyo')
    expect(format.clockTime(AT)).toBe('08:30:05')
    expect(format.day(AT)).toBe('Nov 29, 2026')
  })
  it('have their day where it is another one, by the viewer’s own calendar', () => {
    expect(format.when(AT, AT + 60)).toBe('23:30:05')
    expect(format.when(AT, AT + 3600)).toBe('Nov 28, 23:30')
    preference.set('zone', 'Asia/Tokyo')
    expect(format.when(AT, AT + 3600)).toBe('08:30:05')
  })
  it('are taken as the API writes them, too', () => {
    expect(format.clockTime('2026-11-28T23:30:05Z')).toBe('23:30:05')
  })
})

it('writes as the language does', async () => {
  await startTexts('de')
  vi.spyOn(navigator, 'languages', 'get').mockReturnValue(['de-DE'])
  expect([format.count(12_345), format.duration(1240), format.bytes(1536)]).toEqual([
    '12.345',
    '1,24 s',
    '1,5 KiB',
  ])
  await startTexts('en')
})
