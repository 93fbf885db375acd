/** The mark and the name. */
import classes from './Logo.module.css'

/** The same in every language. */
const NAME = 'OllamaMax'

export function Logo() {
  return (
    <span className={classes.logo}>
      <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="8" className={classes.plate} />
        <g fill="#fff">
          <rect x="7" y="17" width="4" height="8" rx="2" />
          <rect x="14" y="12" width="4" height="13" rx="2" />
          <rect x="21" y="7" width="4" height="18" rx="2" />
        </g>
      </svg>
      <span>{NAME}</span>
    </span>
  )
}
