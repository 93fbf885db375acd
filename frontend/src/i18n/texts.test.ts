import { describe, expect, it } from 'vitest'

const files = import.meta.glob<{ default: object }>(['./{en,de}.json', '../areas/*/{en,de}.json'], {
  eager: true,
})
const english = Object.keys(files).filter((name) => name.endsWith('/en.json'))
/** German and English have the same plural forms. */
const LANGUAGES = ['de']

function flat(value: object, path = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, inner] of Object.entries(value)) {
    const inside = path === '' ? name : `${path}.${name}`
    if (typeof inner === 'string') found.set(inside, inner)
    else for (const [key, text] of flat(inner as object, inside)) found.set(key, text)
  }
  return found
}

const textsOf = (name: string): Map<string, string> => flat(files[name]?.default ?? {})
const places = (text: string): string[] =>
  [...text.matchAll(/\{\{\s*(\w+)/g)].map((match) => match[1] ?? '').sort()

describe.each(LANGUAGES)('in %s', (language) => {
  it.each(english)('%s has the same keys', (name) => {
    const there = textsOf(name.replace('/en.json', `/${language}.json`))
    expect([...there.keys()].sort()).toEqual([...textsOf(name).keys()].sort())
  })

  it.each(english)('%s has the same places for values, and no empty text', (name) => {
    const there = textsOf(name.replace('/en.json', `/${language}.json`))
    for (const [key, text] of textsOf(name)) {
      expect(there.get(key)?.trim(), key).not.toBe('')
      expect(places(there.get(key) ?? ''), key).toEqual(places(text))
    }
  })
})
