/** Chooses an object that rights can be granted on: its kind, and then one by name. */
import { Select } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useObjects, type ObjectKind } from '../../api/access'

interface ObjectFieldProps {
  kind: ObjectKind
  value: string
  onChange: (value: string) => void
  error?: string | undefined
}

export function ObjectField({ kind, value, onChange, error }: ObjectFieldProps) {
  const { t } = useTranslation('access')
  const [text, setText] = useState('')
  const [asked] = useDebouncedValue(text, 200)
  const objects = useObjects(kind, asked)
  return (
    <Select
      label={t(`kind.${kind}`)}
      placeholder={t('choose')}
      searchable
      searchValue={text}
      onSearchChange={setText}
      nothingFoundMessage={t('noneFound')}
      data={objects.data?.map((each) => ({ value: each.id, label: each.name })) ?? []}
      value={value === '' ? null : value}
      onChange={(id) => {
        onChange(id ?? '')
      }}
      error={error}
    />
  )
}
