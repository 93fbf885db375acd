/** Each page loads the texts of every component that it shows: texts that come later blank the page while they load. */
import { describe, expect, it } from 'vitest'

const files = import.meta.glob<string>('../**/*.{ts,tsx}', { eager: true, query: '?raw', import: 'default' })

interface LazyPage {
  route: string
  declared: string[]
  module: string
}

const words = (text: string): string[] => [...text.matchAll(/'(\w+)'/g)].map((match) => match[1] ?? '')

const pages: LazyPage[] = Object.entries(files)
  .filter(([path]) => /\/areas\/\w+\/index\.ts$/.test(path))
  .flatMap(([path, text]) =>
    [...text.matchAll(/lazyPage\(\s*(\[[^\]]*\]|'\w+'),\s*\(\) => import\('([^']+)'\)/g)].map((match) => ({
      route: match[2] ?? '',
      declared: words(match[1] ?? ''),
      module: resolved(path, match[2] ?? ''),
    })),
  )

/** The file that `specifier`, as written in `from`, names; empty for a package. */
function resolved(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return ''
  const parts = from.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..' && parts.at(-1) !== '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  const base = parts.join('/')
  return [base, `${base}.ts`, `${base}.tsx`, `${base}/index.ts`].find((path) => path in files) ?? ''
}

/** The areas whose texts `module` and what it imports use. */
function used(module: string, seen = new Set<string>()): Set<string> {
  const found = new Set<string>()
  if (module === '' || seen.has(module)) return found
  seen.add(module)
  const text = files[module] ?? ''
  for (const match of text.matchAll(/useTranslation\((\[[^\]]*\]|'\w+')/g)) {
    for (const each of words(match[1] ?? '')) if (each !== 'common') found.add(each)
  }
  for (const match of text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)) {
    for (const each of used(resolved(module, match[1] ?? ''), seen)) found.add(each)
  }
  return found
}

describe('the texts of a page', () => {
  it('are looked for on every page', () => {
    expect(pages.length).toBeGreaterThan(35)
    expect(pages.filter((page) => page.module === '')).toEqual([])
  })

  it.each(pages)('$route loads what it uses', ({ declared, module }) => {
    expect([...declared].sort()).toEqual([...used(module)].sort())
  })
})
