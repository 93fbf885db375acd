/** What every unit test starts from: texts in English, and the functions of a browser that happy-dom lacks. */
import { cleanup } from '@testing-library/react'
import { afterEach, beforeAll, beforeEach } from 'vitest'
import { startTexts } from '../i18n'

beforeAll(() => startTexts('en'))
beforeEach(() => {
  window.localStorage.clear()
  window.sessionStorage.clear()
})
afterEach(cleanup)
