import { describe, expect, it } from 'vitest'
import { Problem } from '../../api/client'
import { saidOf } from '../../ui/form/useApiForm'
import { atGate, faultsOf, gateOf, NO_GATE } from './evaluationGate'

const asked = { suite: 's', least_score: 92.5, margin: '', from_share: '0.25' }

describe('the gate of an evaluation', () => {
  it('is in shares for the API, and is none without a suite', () => {
    expect(gateOf(asked)).toEqual({ suite: 's', least_score: 0.925, margin: null, from_share: 0.25 })
    expect(gateOf({ ...asked, least_score: '', margin: 28.9 })).toMatchObject({
      least_score: null,
      margin: 0.289,
    })
    expect(gateOf({ ...asked, margin: 0 })).toMatchObject({ margin: 0 })
    expect(gateOf(NO_GATE)).toBeNull()
  })

  it('asks for something, within what a score can be', () => {
    expect(faultsOf(asked)).toEqual({})
    expect(faultsOf({ ...asked, least_score: '' })).toEqual({ least_score: 'neither' })
    expect(faultsOf({ ...asked, least_score: 0, margin: 100 })).toEqual({
      least_score: 'least',
      margin: 'margin',
    })
    expect(faultsOf({ ...asked, least_score: 100.1 })).toEqual({ least_score: 'least' })
    expect(faultsOf({ ...NO_GATE, least_score: '' })).toEqual({})
  })

  it('is told of at its fields', () => {
    const said = (fields: Record<string, string[]>) =>
      saidOf(atGate(new Problem(409, 'conflict', 'All.', null, fields)), Object.keys(asked))
    expect(said({ 'gates.evaluation.suite': ['None.'] })).toEqual({ fields: { suite: 'None.' }, rest: null })
    expect(said({ gates: ['Too low.'] })).toEqual({ fields: {}, rest: 'Too low.' })
    const other = new Error('Broken.')
    expect(atGate(other)).toBe(other)
  })
})
