/** Every area of the console. A new one is a folder below src/areas and a line here. */
import * as access from '../areas/access'
import * as account from '../areas/account'
import * as applications from '../areas/applications'
import * as audit from '../areas/audit'
import * as batches from '../areas/batches'
import * as budgets from '../areas/budgets'
import * as evaluations from '../areas/evaluations'
import * as experiments from '../areas/experiments'
import * as incidents from '../areas/incidents'
import * as jobs from '../areas/jobs'
import * as keys from '../areas/keys'
import * as members from '../areas/members'
import * as limits from '../areas/limits'
import * as mirrors from '../areas/mirrors'
import * as models from '../areas/models'
import * as nodes from '../areas/nodes'
import * as overview from '../areas/overview'
import * as placement from '../areas/placement'
import * as playground from '../areas/playground'
import * as queue from '../areas/queue'
import * as requests from '../areas/requests'
import * as session from '../areas/session'
import * as sso from '../areas/sso'
import * as tenants from '../areas/tenants'
import * as settings from '../areas/settings'
import * as system from '../areas/system'
import * as usage from '../areas/usage'
import * as webhooks from '../areas/webhooks'
import type { Entry } from './area'

/** Areas inside the shell. */
export const AREAS = [
  overview,
  nodes,
  incidents,
  experiments,
  models,
  placement,
  evaluations,
  mirrors,
  jobs,
  requests,
  queue,
  usage,
  playground,
  keys,
  members,
  access,
  webhooks,
  tenants,
  sso,
  applications,
  batches,
  limits,
  budgets,
  audit,
  settings,
  system,
  account,
] as const

/** Areas that need no session. */
export const OUTSIDE = [session] as const

export const ENTRIES: readonly Entry[] = AREAS.flatMap((area): readonly Entry[] => area.entries)
