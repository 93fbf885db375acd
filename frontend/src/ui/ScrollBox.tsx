/** Around what may be wider than its place, such as a table: scrolled sideways, by keyboard too, and found by its name. */
import { Box } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from './ScrollBox.module.css'

interface ScrollBoxProps {
  label: string
  /** Pixels below which what is inside does not shrink. */
  minWidth?: number
  children: ReactNode
}

export function ScrollBox({ label, minWidth, children }: ScrollBoxProps) {
  return (
    <div className={classes.box} tabIndex={0} role="region" aria-label={label}>
      {minWidth === undefined ? children : <Box miw={minWidth}>{children}</Box>}
    </div>
  )
}
