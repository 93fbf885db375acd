/** Incidents: what broke, whom it hit, and who looks after it. */
import { IconUrgent } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/incidents',
    staticData: { may: 'node.view' },
    component: lazyPage('incidents', () => import('./IncidentsPage'), 'IncidentsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/incidents/predictions',
    staticData: { may: 'node.view' },
    component: lazyPage('incidents', () => import('./PredictionsPage'), 'PredictionsPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/incidents/$incidentId',
    staticData: { may: 'node.view' },
    component: lazyPage('incidents', () => import('./IncidentPage'), 'IncidentPage'),
  }),
] as const

export const entries: readonly Entry[] = [
  {
    to: '/incidents',
    label: 'nav.incidents',
    icon: IconUrgent,
    section: 'fleet',
    order: 15,
    may: 'node.view',
  },
]
