/** A form whose values a schema checks here and the API checks there; what the API says of a field stands at that field. */
import { schemaResolver, useForm, type UseFormReturnType } from '@mantine/form'
import { useState, type SyntheticEvent } from 'react'
import type { z } from 'zod'
import { Problem, sentence } from '../../api/client'

export interface ApiForm<Values extends Record<string, unknown>> {
  form: UseFormReturnType<Values>
  /** What went wrong that no field says; null as long as nothing did. */
  failure: string | null
  pending: boolean
  onSubmit: (event: SyntheticEvent<HTMLFormElement>) => void
  reset: () => void
}

interface Options<Values extends Record<string, unknown>, Answer> {
  initial: Values
  /** What is checked before anything is sent. Its words are shown. */
  schema: z.ZodType
  send: (values: Values) => Promise<Answer>
  onDone?: (answer: Answer, values: Values) => void
}

export function useApiForm<Values extends Record<string, unknown>, Answer = unknown>({
  initial,
  schema,
  send,
  onDone,
}: Options<Values, Answer>): ApiForm<Values> {
  const [failure, setFailure] = useState<string | null>(null)
  const [pending, setPending] = useState(false)
  const form = useForm<Values>({
    initialValues: initial,
    validate: schemaResolver(schema as never, { sync: true }),
    validateInputOnBlur: true,
    // A form that was refused leads to the first field that has to be changed.
    onSubmitPreventDefault: 'always',
  })
  const submit = async (values: Values): Promise<void> => {
    setFailure(null)
    setPending(true)
    try {
      const answer = await send(values)
      onDone?.(answer, values)
    } catch (error) {
      const { fields, rest } = saidOf(error, Object.keys(values))
      form.setErrors(fields)
      setFailure(rest)
    } finally {
      setPending(false)
    }
  }
  return {
    form,
    failure,
    pending,
    onSubmit: form.onSubmit(
      (values) => void submit(values),
      (errors) => {
        const first = Object.keys(errors)[0]
        if (first !== undefined) form.getInputNode(first)?.focus()
      },
    ),
    reset: () => {
      form.reset()
      setFailure(null)
    },
  }
}

/** What an error says of the fields that a form has, by their paths, and what is left to say. Pure. */
export function saidOf(
  error: unknown,
  known: readonly string[],
): { fields: Record<string, string>; rest: string | null } {
  if (!(error instanceof Problem)) return { fields: {}, rest: sentence(error) }
  const fields: Record<string, string> = {}
  const others: string[] = []
  for (const [path, said] of Object.entries(error.fields)) {
    const text = said.join(' ')
    if (known.includes(path.split('.')[0] ?? '')) fields[path] = text
    else others.push(path === '' ? text : `${path}: ${text}`)
  }
  if (Object.keys(fields).length === 0 && others.length === 0) return { fields, rest: error.message }
  return { fields, rest: others.length > 0 ? others.join(' ') : null }
}
