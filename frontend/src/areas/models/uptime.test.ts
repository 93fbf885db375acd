import { describe, expect, it } from 'vitest'
import { trafficOf } from '../../api/models'
import { uptime } from './uptime'

describe('uptime', () => {
  it('is never rounded up to whole', () => {
    expect([1, 0.99999, 0.985, 0, null].map(uptime)).toEqual(['100 %', '99.99 %', '98.5 %', '0.0 %', '–'])
  })

  it('is that of all requests of the time, and unknown where none ended', () => {
    const series = (requests: (number | null)[], failed: (number | null)[]) => ({
      series: 'model:m',
      at: [],
      values: { requests, failed },
      failures: {},
    })
    expect(trafficOf(series([null, 6, 4], [null, 1, null]))).toMatchObject({
      requests: 10,
      failed: 1,
      uptime: 0.9,
    })
    expect(trafficOf(series([null], [null])).uptime).toBeNull()
    expect(trafficOf(undefined).uptime).toBeNull()
  })
})
