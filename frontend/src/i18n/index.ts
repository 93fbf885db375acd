/** Texts in the viewer's language. The common ones come with the script; those of an area with its pages. */
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { preference } from '../app/preferences'
import type { Texts } from './catalogue'
import common from './en.json'

export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const
export type Language = keyof typeof LANGUAGES
export type Namespace = Exclude<keyof Texts, 'common'>

/** The keys of ``value`` with dots between them. */
type Paths<Value> = {
  [Key in keyof Value & string]: Value[Key] extends string ? Key : `${Key}.${Paths<Value[Key]>}`
}[keyof Value & string]
export type CommonKey = Paths<typeof common>

const files = {
  ...import.meta.glob<{ default: object }>('../areas/*/{en,de}.json'),
  ...import.meta.glob<{ default: object }>('./de.json'),
}

const fromFiles = {
  type: 'backend' as const,
  init: () => undefined,
  read: async (language: string, namespace: string): Promise<object> => {
    const file = namespace === 'common' ? `./${language}.json` : `../areas/${namespace}/${language}.json`
    const load = files[file]
    if (load === undefined) throw new Error(`There is no ${file}.`)
    return (await load()).default
  },
}

/** The chosen language, else the first of the browser's that there is, else English. */
function startingLanguage(): Language {
  const wanted = [preference.get('language'), ...navigator.languages.map((each) => each.slice(0, 2))]
  return wanted.find((each): each is Language => each !== null && each in LANGUAGES) ?? 'en'
}

export async function startTexts(language: Language = startingLanguage()): Promise<void> {
  await i18next
    .use(fromFiles)
    .use(initReactI18next)
    .init({
      lng: language,
      fallbackLng: 'en',
      ns: ['common'],
      defaultNS: 'common',
      resources: { en: { common } },
      partialBundledLanguages: true,
      interpolation: { escapeValue: false }, // React escapes
      returnNull: false,
    })
  document.documentElement.lang = language
}

export async function speak(language: Language): Promise<void> {
  preference.set('language', language)
  await i18next.changeLanguage(language)
  document.documentElement.lang = language
}

export function loadTexts(areas: Namespace | readonly Namespace[]): Promise<void> {
  return i18next.loadNamespaces(areas)
}
