/** What an area of the console is: its routes, and its entries in the side navigation. */
import type { Icon } from '@tabler/icons-react'
import type { Permission } from '../api/session'
import type { CommonKey } from '../i18n'

/** Parts of the side navigation, in their order. */
export const SECTIONS = ['fleet', 'traffic', 'use', 'organisation'] as const

export interface Entry {
  /** An address without parameters. */
  to: string
  /** A key of src/i18n/en.json. */
  label: CommonKey
  icon: Icon
  section: (typeof SECTIONS)[number]
  /** Within the section; the lowest stands first. */
  order: number
  /** Without this permission the entry is absent, and the page says so; by default everybody may. */
  may?: Permission
}
