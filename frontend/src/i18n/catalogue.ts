/** The types of all texts: a key that is not there does not compile. A new area with texts is a line here. */
import type access from '../areas/access/en.json'
import type account from '../areas/account/en.json'
import type applications from '../areas/applications/en.json'
import type audit from '../areas/audit/en.json'
import type batches from '../areas/batches/en.json'
import type budgets from '../areas/budgets/en.json'
import type evaluations from '../areas/evaluations/en.json'
import type experiments from '../areas/experiments/en.json'
import type incidents from '../areas/incidents/en.json'
import type jobs from '../areas/jobs/en.json'
import type keys from '../areas/keys/en.json'
import type members from '../areas/members/en.json'
import type limits from '../areas/limits/en.json'
import type mirrors from '../areas/mirrors/en.json'
import type models from '../areas/models/en.json'
import type nodes from '../areas/nodes/en.json'
import type overview from '../areas/overview/en.json'
import type placement from '../areas/placement/en.json'
import type playground from '../areas/playground/en.json'
import type queue from '../areas/queue/en.json'
import type requests from '../areas/requests/en.json'
import type session from '../areas/session/en.json'
import type sso from '../areas/sso/en.json'
import type tenants from '../areas/tenants/en.json'
import type settings from '../areas/settings/en.json'
import type system from '../areas/system/en.json'
import type usage from '../areas/usage/en.json'
import type webhooks from '../areas/webhooks/en.json'
import type common from './en.json'

export interface Texts {
  common: typeof common
  access: typeof access
  account: typeof account
  applications: typeof applications
  audit: typeof audit
  batches: typeof batches
  budgets: typeof budgets
  evaluations: typeof evaluations
  experiments: typeof experiments
  incidents: typeof incidents
  jobs: typeof jobs
  keys: typeof keys
  members: typeof members
  limits: typeof limits
  mirrors: typeof mirrors
  models: typeof models
  nodes: typeof nodes
  overview: typeof overview
  placement: typeof placement
  playground: typeof playground
  queue: typeof queue
  requests: typeof requests
  session: typeof session
  sso: typeof sso
  tenants: typeof tenants
  settings: typeof settings
  system: typeof system
  usage: typeof usage
  webhooks: typeof webhooks
}

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'common'
    resources: Texts
  }
}
