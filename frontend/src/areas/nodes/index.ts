/** Nodes: all of them, each by itself, and how a host becomes one. */
import { IconServer2 } from '@tabler/icons-react'
import { createRoute } from '@tanstack/react-router'
import type { Entry } from '../../app/area'
import { lazyPage } from '../../app/lazyPage'
import { insideRoute } from '../../app/roots'

export const routes = [
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/nodes',
    staticData: { may: 'node.view' },
    component: lazyPage('nodes', () => import('./NodesPage'), 'NodesPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/nodes/join',
    staticData: { may: 'node.manage' },
    component: lazyPage('nodes', () => import('./JoinPage'), 'JoinPage'),
  }),
  createRoute({
    getParentRoute: () => insideRoute,
    path: '/nodes/$nodeId',
    staticData: { may: 'node.view' },
    component: lazyPage(['nodes', 'overview', 'requests'], () => import('./NodePage'), 'NodePage'),
  }),
] as const

export const entries: readonly Entry[] = [
  { to: '/nodes', label: 'nav.nodes', icon: IconServer2, section: 'fleet', order: 20, may: 'node.view' },
]
