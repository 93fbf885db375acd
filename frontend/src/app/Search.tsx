/** Search over pages, nodes, models, keys and request ids, from anywhere by Ctrl-K. */
import { Spotlight, createSpotlight, type SpotlightActionGroupData } from '@mantine/spotlight'
import { useDebouncedValue } from '@mantine/hooks'
import {
  IconArrowRight,
  IconCube,
  IconKey,
  IconListDetails,
  IconSearch,
  IconServer,
  IconUserCircle,
} from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, bodyOf } from '../api/client'
import { useMay } from '../api/session'
import { useSections } from './Navigation'
import { plainId } from '../ui/format'

const [store, spotlight] = createSpotlight()
const MOST = 5
const REQUEST = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i

export function Search({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTranslation()
  const [text, setText] = useState('')
  useEffect(() => {
    if (opened) spotlight.open()
  }, [opened])
  return (
    <Spotlight
      store={store}
      actions={useGroups(text.trim(), opened)}
      query={text}
      onQueryChange={setText}
      filter={(_query, actions) => actions} // each group has filtered its own
      onSpotlightClose={onClose}
      shortcut={null}
      scrollable
      maxHeight={420}
      nothingFound={t('search.nothing')}
      searchProps={{
        leftSection: <IconSearch size={18} />,
        placeholder: t('search.placeholder'),
        'aria-label': t('search.label'),
      }}
    />
  )
}

function useGroups(text: string, opened: boolean): SpotlightActionGroupData[] {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const [asked] = useDebouncedValue(text, 150)
  const named = asked === '' ? {} : { name: asked }
  const ready = opened && asked !== ''
  const mayNodes = useMay('node.view')
  const mayModels = useMay('model.view')
  const mayKeys = useMay('key.view')
  const nodes = useQuery({
    queryKey: ['search', 'nodes', asked],
    enabled: ready && mayNodes,
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/nodes', { params: { query: { ...named, limit: MOST } } })).results,
  })
  const models = useQuery({
    queryKey: ['search', 'models', asked],
    enabled: ready && mayModels,
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/models', { params: { query: { ...named, limit: MOST } } })).results,
  })
  const keys = useQuery({
    queryKey: ['search', 'keys', asked],
    enabled: ready && mayKeys,
    queryFn: async () =>
      bodyOf(await api.GET('/api/v1/keys', { params: { query: { ...named, limit: MOST } } })).results,
  })
  const go =
    (to: string, search: Record<string, string> = {}) =>
    () => {
      void navigate({ to, search } as never)
    }
  // The account is reached by the menu of who is logged in, and is no entry of the navigation.
  const account = { to: '/account', icon: IconUserCircle, name: t('account.page') }
  const pages = [
    ...useSections()
      .flatMap((section) => section.entries)
      .map(({ to, icon, label }) => ({ to, icon, name: t(label) })),
    account,
  ].filter((entry) => entry.name.toLowerCase().includes(text.toLowerCase()))
  const groups: SpotlightActionGroupData[] = [
    {
      group: t('search.requests'),
      actions: REQUEST.test(text)
        ? [
            {
              id: 'request',
              label: t('search.request', { id: text }),
              leftSection: <IconListDetails size={18} />,
              onClick: go(`/requests/${plainId(text).toLowerCase()}`),
            },
          ]
        : [],
    },
    {
      group: t('search.pages'),
      actions: pages.map((entry) => ({
        id: entry.to,
        label: entry.name,
        leftSection: <entry.icon size={18} stroke={1.75} />,
        rightSection: <IconArrowRight size={14} />,
        onClick: go(entry.to),
      })),
    },
    {
      group: t('search.nodes'),
      actions: (nodes.data ?? []).map((node) => ({
        id: `node ${node.id}`,
        label: node.name,
        description: node.region,
        leftSection: <IconServer size={18} stroke={1.75} />,
        onClick: go(`/nodes/${node.id}`),
      })),
    },
    {
      group: t('search.models'),
      actions: (models.data ?? []).map((model) => ({
        id: `model ${model.id}`,
        label: model.name,
        leftSection: <IconCube size={18} stroke={1.75} />,
        onClick: go(`/models/${model.id}`),
      })),
    },
    {
      group: t('search.keys'),
      actions: (keys.data ?? []).map((key) => ({
        id: `key ${key.id}`,
        label: key.name,
        description: `omx_${key.identifier}…`,
        leftSection: <IconKey size={18} stroke={1.75} />,
        onClick: go('/keys', { q: key.name }),
      })),
    },
  ]
  return groups.filter((group) => group.actions.length > 0)
}
