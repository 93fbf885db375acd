/** Claim rules as text in a form: one a line, `claim = pattern`. */
import type { WorkloadCreate } from '../../api/workloads'

export type ClaimRules = WorkloadCreate['rules']

/** `null` where a line is no rule. */
export function rulesOf(text: string): ClaimRules | null {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const rules = lines.map((line) => {
    const at = line.indexOf('=')
    return { claim: line.slice(0, Math.max(0, at)).trim(), pattern: line.slice(at + 1).trim() }
  })
  return rules.length > 0 && rules.every(({ claim, pattern }) => claim !== '' && pattern !== '')
    ? rules
    : null
}
