import { expect, it } from 'vitest'
import { IconKey } from '@tabler/icons-react'
import type { Entry } from './area'
import { sectionsFor } from './Navigation'

const entry = (to: string, more: Partial<Entry>): Entry => ({
  to,
  label: 'nav.keys',
  icon: IconKey,
  section: 'use',
  order: 1,
  ...more,
})

const ENTRIES = [
  entry('/b', { order: 2 }),
  entry('/a', { order: 1 }),
  entry('/members', { section: 'organisation', may: 'member.view' }),
  entry('/nodes', { section: 'fleet', may: 'node.view' }),
]

it('shows what is allowed, by section and in order', () => {
  expect(
    sectionsFor(ENTRIES, ['node.view']).map(({ name, entries }) => [name, entries.map(({ to }) => to)]),
  ).toEqual([
    ['fleet', ['/nodes']],
    ['use', ['/a', '/b']],
  ])
})

it('leaves a section out in which nothing is allowed', () => {
  expect(sectionsFor(ENTRIES, []).map(({ name }) => name)).toEqual(['use'])
})
