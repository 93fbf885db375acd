/** One total. */
import type { ReactNode } from 'react'
import classes from './Tile.module.css'

interface TileProps {
  name: string
  value: ReactNode
  of?: string | undefined
  warn?: boolean
}

export function Tile({ name, value, of, warn = false }: TileProps) {
  return (
    <div className={classes.tile}>
      <div className={classes.name}>{name}</div>
      <div className={classes.line}>
        <span className={classes.value} data-warn={warn}>
          {value}
        </span>
        {of !== undefined && <span className={classes.of}>{of}</span>}
      </div>
    </div>
  )
}
