/** The types of all texts: a key that is not there does not compile. A new area with texts is a line here. */
import type jobs from '../areas/jobs/en.json'
import type keys from '../areas/keys/en.json'
import type members from '../areas/members/en.json'
import type models from '../areas/models/en.json'
import type nodes from '../areas/nodes/en.json'
import type overview from '../areas/overview/en.json'
import type playground from '../areas/playground/en.json'
import type queue from '../areas/queue/en.json'
import type requests from '../areas/requests/en.json'
import type session from '../areas/session/en.json'
import type tenants from '../areas/tenants/en.json'
import type usage from '../areas/usage/en.json'
import type webhooks from '../areas/webhooks/en.json'
import type common from './en.json'

export interface Texts {
  common: typeof common
  jobs: typeof jobs
  keys: typeof keys
  members: typeof members
  models: typeof models
  nodes: typeof nodes
  overview: typeof overview
  playground: typeof playground
  queue: typeof queue
  requests: typeof requests
  session: typeof session
  tenants: typeof tenants
  usage: typeof usage
  webhooks: typeof webhooks
}

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'common'
    resources: Texts
  }
}
