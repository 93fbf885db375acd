import { expect, test } from 'vitest'
import { rulesOf } from './claimRules'

test('a rule is a line, whose pattern may hold an equals sign', () => {
  expect(rulesOf(' sub = repo:acme/* \n\nkubernetes.io/namespace=a=b')).toEqual([
    { claim: 'sub', pattern: 'repo:acme/*' },
    { claim: 'kubernetes.io/namespace', pattern: 'a=b' },
  ])
  expect(['', 'sub', '= x', 'sub =', 'sub = x\ny'].map(rulesOf)).toEqual([null, null, null, null, null])
})
