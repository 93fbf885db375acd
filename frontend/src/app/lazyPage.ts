/** A page in a chunk of its own, which arrives together with the texts of the areas that it shows. */
import { lazyRouteComponent } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { loadTexts, type Namespace } from '../i18n'

/**
 * `load` imports the module and `name` is what it exports; `areas` are the folders whose texts it needs: its own, and
 * those of other areas whose components it shows. Texts that came later would blank the page while they load.
 */
export function lazyPage<Name extends string>(
  areas: Namespace | readonly Namespace[],
  load: () => Promise<Record<Name, ComponentType>>,
  name: Name,
) {
  return lazyRouteComponent(async () => {
    const [module] = await Promise.all([load(), loadTexts(areas)])
    return module
  }, name)
}
