/** The types of all texts: a key that is not there does not compile. A new area with texts is a line here. */
import type keys from '../areas/keys/en.json'
import type overview from '../areas/overview/en.json'
import type requests from '../areas/requests/en.json'
import type session from '../areas/session/en.json'
import type common from './en.json'

export interface Texts {
  common: typeof common
  keys: typeof keys
  overview: typeof overview
  requests: typeof requests
  session: typeof session
}

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'common'
    resources: Texts
  }
}
