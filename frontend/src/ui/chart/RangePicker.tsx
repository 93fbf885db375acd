/** Chooses the time that a page's charts show. */
import { Button, Group, Select } from '@mantine/core'
import { IconZoomOut } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { when } from '../format'
import { RANGES, type Last, type Range } from './useRange'

interface RangePickerProps {
  range: Range
  onShow: (last: Last) => void
  onReset: () => void
  /** Which ranges there is data of. */
  choices?: readonly Last[]
}

export function RangePicker({ range, onShow, onReset, choices = RANGES }: RangePickerProps) {
  const { t } = useTranslation()
  return (
    <Group gap={8}>
      {range.last === null && (
        <Button
          size="xs"
          variant="default"
          leftSection={<IconZoomOut size={14} />}
          onClick={onReset}
          title={t('chart.reset')}
        >
          {t('range.zoomed', { from: when(range.from), to: when(range.to) })}
        </Button>
      )}
      <Select
        size="xs"
        w={130}
        aria-label={t('range.label')}
        placeholder={t('range.label')}
        data={choices.map((each) => ({ value: String(each), label: t(`range.${each}`) }))}
        value={range.last === null ? null : String(range.last)}
        allowDeselect={false}
        onChange={(value) => {
          const chosen = RANGES.find((each) => String(each) === value)
          if (chosen !== undefined) onShow(chosen)
        }}
      />
    </Group>
  )
}
