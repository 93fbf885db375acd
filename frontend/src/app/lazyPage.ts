/** A page in a chunk of its own, which arrives together with its area's texts. */
import { lazyRouteComponent } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { loadTexts, type Namespace } from '../i18n'

/** `load` imports the module and `name` is what it exports; `area` is the folder whose texts it needs. */
export function lazyPage<Name extends string>(
  area: Namespace,
  load: () => Promise<Record<Name, ComponentType>>,
  name: Name,
) {
  return lazyRouteComponent(async () => {
    const [module] = await Promise.all([load(), loadTexts(area)])
    return module
  }, name)
}
