/** Every area of the console. A new one is a folder below src/areas and a line here. */
import * as keys from '../areas/keys'
import * as overview from '../areas/overview'
import * as requests from '../areas/requests'
import * as session from '../areas/session'
import type { Entry } from './area'

/** Areas inside the shell. */
export const AREAS = [overview, requests, keys] as const

/** Areas that need no session. */
export const OUTSIDE = [session] as const

export const ENTRIES: readonly Entry[] = AREAS.flatMap((area): readonly Entry[] => area.entries)
