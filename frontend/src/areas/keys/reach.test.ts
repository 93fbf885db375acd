import { expect, test } from 'vitest'
import { isBound, NO_REACH, reachOf, textOf } from './reach'

test('entries are apart by lines, spaces and commas, and come back as they went', () => {
  const reach = reachOf({ ...NO_REACH, addresses: ' 10.0.0.0/8, ::1\n\n127.0.0.1 ', routes: '/v1/*' })
  expect(reach).toEqual({ addresses: ['10.0.0.0/8', '::1', '127.0.0.1'], routes: ['/v1/*'], models: [] })
  expect(reachOf(textOf(reach))).toEqual(reach)
  expect([isBound(reach), isBound(reachOf(NO_REACH))]).toEqual([true, false])
})
