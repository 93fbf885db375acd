import type { Placed } from '../../api/placement'

/** The name of a placed version, or the beginning of its digest. */
export const nameOf = (placed: Placed): string => placed.model || placed.version.slice(7, 19)
