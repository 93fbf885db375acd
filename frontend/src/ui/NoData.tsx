/** Said where nothing was measured or recorded. */
import classes from '../areas/requests/RequestTable.module.css'

export function NoData() {
  return <span className={classes.none}>no data</span>
}
