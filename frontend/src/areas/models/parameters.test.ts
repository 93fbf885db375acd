import { describe, expect, it } from 'vitest'
import { parametersOf } from './parameters'

describe('parameters as lines', () => {
  it('are numbers, truths and texts by their looks', () => {
    expect(parametersOf('temperature 0.2\nnum_ctx = 4096\n\nuse_mmap: true\nx "12"')).toEqual({
      temperature: 0.2,
      num_ctx: 4096,
      use_mmap: true,
      x: '12',
    })
  })

  it('gather what stops an answer', () => {
    expect(parametersOf('stop <end>\nstop "12"')).toEqual({ stop: ['<end>', '12'] })
  })

  it('are none where a line is none', () => {
    expect(parametersOf('temperature')).toBeNull()
    expect(parametersOf('Temp 1')).toBeNull()
    expect(parametersOf('')).toEqual({})
  })
})
