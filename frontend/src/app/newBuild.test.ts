import { expect, it, vi } from 'vitest'
import { mayReload } from './newBuild'

it('loads the page again once when a chunk is gone, and not in a circle', () => {
  expect(mayReload(1_000_000)).toBe(true)
  expect(mayReload(1_000_500)).toBe(false)
  expect(mayReload(1_070_000)).toBe(true)
})

it('does not load it again where it could not remember that it did', () => {
  vi.spyOn(window, 'sessionStorage', 'get').mockImplementation(() => {
    throw new DOMException('forbidden', 'SecurityError')
  })
  expect(mayReload(1_000_000)).toBe(false)
})
