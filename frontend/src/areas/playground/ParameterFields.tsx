/** What a request says besides its turns. */
import { NumberInput, Textarea } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Parameters } from './conversation'
import classes from './Playground.module.css'

interface ParameterFieldsProps {
  parameters: Parameters
  bad: readonly ('tools' | 'schema')[]
  onChange: (parameters: Parameters) => void
}

const NUMBERS = [
  { name: 'temperature', min: 0, max: 2, step: 0.1 },
  { name: 'topP', min: 0, max: 1, step: 0.05 },
  { name: 'maxTokens', min: 1, max: 1_000_000, step: 64 },
  { name: 'seed', min: 0, max: 2 ** 31 - 1, step: 1 },
] as const

export function ParameterFields({ parameters, bad, onChange }: ParameterFieldsProps) {
  const { t } = useTranslation('playground')
  return (
    <div className={classes.fields}>
      <Textarea
        size="xs"
        label={t('system')}
        autosize
        minRows={2}
        maxRows={8}
        value={parameters.system}
        onChange={(event) => onChange({ ...parameters, system: event.currentTarget.value })}
      />
      <div className={classes.pair}>
        {NUMBERS.map(({ name, min, max, step }) => (
          <NumberInput
            key={name}
            size="xs"
            label={t(name)}
            placeholder={t('byModel')}
            min={min}
            max={max}
            step={step}
            value={parameters[name]}
            onChange={(value) => onChange({ ...parameters, [name]: typeof value === 'number' ? value : '' })}
          />
        ))}
      </div>
      {(['tools', 'schema'] as const).map((name) => (
        <Textarea
          key={name}
          size="xs"
          label={t(name)}
          placeholder={name === 'tools' ? '[{"type": "function", …}]' : '{"type": "object", …}'}
          autosize
          minRows={2}
          maxRows={10}
          spellCheck={false}
          classNames={{ input: classes.mono ?? '' }}
          error={bad.includes(name) ? t(name === 'tools' ? 'badTools' : 'badSchema') : undefined}
          value={parameters[name]}
          onChange={(event) => onChange({ ...parameters, [name]: event.currentTarget.value })}
        />
      ))}
    </div>
  )
}
