/** Where and for what a key may be used: networks, routes, models. */
import { Textarea } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import classes from './CreateKey.module.css'
import { REACH_PARTS, type ReachText } from './reach'

interface ReachFieldsProps {
  value: ReachText
  onChange: (value: ReachText) => void
}

export function ReachFields({ value, onChange }: ReachFieldsProps) {
  const { t } = useTranslation('keys')
  return (
    <fieldset className={classes.reach}>
      <legend className={classes.legend}>{t('reach.title')}</legend>
      {REACH_PARTS.map((part) => (
        <Textarea
          key={part}
          label={t(`reach.${part}`)}
          description={t(`reach.${part}Text`)}
          placeholder={t('reach.all')}
          autosize
          maxRows={6}
          maxLength={8000}
          value={value[part]}
          onChange={(event) => {
            onChange({ ...value, [part]: event.currentTarget.value })
          }}
        />
      ))}
    </fieldset>
  )
}
