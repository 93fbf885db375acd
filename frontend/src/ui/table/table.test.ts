import { describe, expect, it } from 'vitest'
import { PLAIN, searchOf, stateOf } from './address'
import { compared, matching, type Column, type TableState } from './column'
import { csvOf } from './csv'
import { standing } from './held'

interface Thing {
  name: string
  state: string
  size: number | null
}

const COLUMNS: Column<Thing>[] = [
  { id: 'name', header: 'Name', value: (thing) => thing.name, primary: true },
  { id: 'state', header: 'State', value: (thing) => thing.state },
  { id: 'size', header: 'Size', value: (thing) => thing.size, align: 'right' },
]
const THINGS: Thing[] = [
  { name: 'berlin-10', state: 'up', size: 3 },
  { name: 'berlin-9', state: 'down', size: null },
  { name: 'paris-1', state: 'up', size: 20 },
]

describe('what is left of the rows', () => {
  const names = (state: Partial<TableState>) =>
    matching(THINGS, COLUMNS, { ...PLAIN, ...state }).map((thing) => thing.name)

  it('is all of them, the same list, without a text and filters', () => {
    expect(matching(THINGS, COLUMNS, PLAIN)).toBe(THINGS)
  })
  it('has every word somewhere, whatever its case', () => {
    expect(names({ text: 'UP  berlin' })).toEqual(['berlin-10'])
    expect(names({ text: 'oslo' })).toEqual([])
  })
  it('has one of the chosen values of each column', () => {
    expect(names({ filters: { state: ['up', 'lost'] } })).toEqual(['berlin-10', 'paris-1'])
    expect(names({ filters: { state: [] } })).toHaveLength(3)
  })
})

it('orders texts as people do, and numbers by their size', () => {
  expect(compared('berlin-9', 'berlin-10')).toBeLessThan(0)
  expect(compared(9, 10)).toBeLessThan(0)
  expect(compared('b', 'A')).toBeGreaterThan(0)
})

describe('the state in the address', () => {
  const initial: TableState = {
    ...PLAIN,
    sort: { id: 'name', desc: false },
    hidden: ['size'],
    filters: { state: ['up'] },
  }
  const states: TableState[] = [
    initial,
    { ...initial, text: 'a, b & c' },
    { ...initial, text: '12' },
    { ...initial, sort: { id: 'size', desc: true } },
    { ...initial, sort: null },
    { ...initial, hidden: ['a,b', 'c%d'] },
    { ...initial, filters: { state: ['x,y', 'ü'] } },
    { ...initial, filters: { state: [] } },
  ]
  it.each(states)('comes back as it went: %j', (state) => {
    for (const prefix of ['', 'left.']) {
      const said = searchOf({ tab: 'logs' }, state, initial, prefix)
      expect(said.tab).toBe('logs')
      expect(stateOf(said, initial, prefix)).toEqual(state)
    }
  })
  it('says nothing where it is as at first', () => {
    expect(searchOf({}, initial, initial)).toEqual({})
  })
  it('comes back as it went where a router took a text for a number', () => {
    expect(stateOf({ q: 12 }).text).toBe('12')
  })
  it('keeps two tables of a page apart', () => {
    const both = searchOf(
      searchOf({}, { ...PLAIN, text: 'one' }, PLAIN, 'a.'),
      { ...PLAIN, text: 'two' },
      PLAIN,
      'b.',
    )
    expect([stateOf(both, PLAIN, 'a.').text, stateOf(both, PLAIN, 'b.').text]).toEqual(['one', 'two'])
  })
  it('takes what was typed by hand', () => {
    expect(stateOf({ hide: '%', sort: '-', 'in.state': null })).toEqual({
      text: '',
      sort: { id: '', desc: true },
      hidden: ['%'],
      filters: { state: [] },
    })
  })
})

describe('the file of a table', () => {
  it('quotes what has commas, quotes and lines in it', () => {
    expect(csvOf([{ name: 'a,b', state: 'say "x"', size: 1 }], COLUMNS)).toBe(
      'Name,State,Size\r\n"a,b","say ""x""",1\r\n',
    )
  })
  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\n=1', '＝1', '＋1', '－1', '＠A1'])(
    'has no formula made of the name %j',
    (name) => {
      expect(csvOf([{ name, state: '', size: null }], COLUMNS)).toContain(`'${name}`)
    },
  )
  it('leaves negative numbers numbers', () => {
    expect(csvOf([{ name: 'x', state: '', size: -5 }], COLUMNS)).toContain(',-5\r\n')
  })
})

describe('rows that somebody points at', () => {
  const row = (id: string, value = 0) => ({ id, value })
  const idOf = (each: { id: string }) => each.id
  it('stay in their places, with their values of now', () => {
    const { rows, fresh } = standing([row('a'), row('b')], [row('b', 2), row('c'), row('a', 1)], idOf)
    expect(rows).toEqual([row('a', 1), row('b', 2)])
    expect(fresh).toBe(1)
  })
  it('stay as they were when they are gone', () => {
    expect(standing([row('a', 7)], [], idOf)).toEqual({ rows: [row('a', 7)], fresh: 0 })
  })
})
