/** Keeps the focus among the rows of a table: arrows move it, and it survives the end of the row that had it. */
import {
  useCallback,
  useLayoutEffect,
  useRef,
  type FocusEvent,
  type KeyboardEvent,
  type RefObject,
} from 'react'

const FOCUSABLE = 'a[href],button:not([disabled]),input:not([disabled])'

interface Place {
  id: string
  index: number
  /** Which of the row's controls has it. */
  control: number
}

function focusRow(body: HTMLElement | null, index: number, control: number): boolean {
  const controls = body?.querySelector(`[data-row="${index}"]`)?.querySelectorAll<HTMLElement>(FOCUSABLE)
  const target = controls?.[Math.min(control, controls.length - 1)]
  target?.focus()
  return target !== undefined
}

export function useKeptFocus(body: RefObject<HTMLElement | null>, rows: readonly { id: string }[]) {
  const place = useRef<Place | null>(null)

  useLayoutEffect(() => {
    const before = place.current
    if (before === null || document.activeElement !== document.body) return
    // The row is gone, and its focus with it: to the row that stands in its place now.
    if (rows.some((row) => row.id === before.id)) return
    focusRow(body.current, Math.min(before.index, rows.length - 1), before.control)
  }, [rows, body])

  const onFocus = useCallback(
    (event: FocusEvent) => {
      const row = event.target.closest('[data-row]')
      if (row === null) return
      const index = Number(row.getAttribute('data-row'))
      const control = [...row.querySelectorAll(FOCUSABLE)].indexOf(event.target)
      place.current = { id: rows[index]?.id ?? '', index, control: Math.max(0, control) }
    },
    [rows],
  )

  const onBlur = useCallback((event: FocusEvent) => {
    // When a row is taken out of the document, nothing gets the focus; whoever goes elsewhere goes somewhere.
    if (event.relatedTarget !== null) place.current = null
  }, [])

  const onKeyDown = useCallback(
    (event: KeyboardEvent) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
      const before = place.current
      if (step === undefined || before === null || event.altKey || event.ctrlKey || event.metaKey) return
      if (focusRow(body.current, before.index + step, before.control)) event.preventDefault()
    },
    [body],
  )

  return {
    handlers: { onFocus, onBlur, onKeyDown },
    index: useCallback(() => place.current?.index ?? null, []),
  }
}
