/** The model of a request in a table; a click anywhere on its row opens the request's page. */
import { Link } from '@tanstack/react-router'
import classes from './RequestTable.module.css'

export function RequestLink({ request, model }: { request: string; model: string }) {
  return (
    <Link
      to="/requests/$id"
      params={{ id: request }}
      className={classes.link}
      aria-label={`${model}, request ${request.slice(-8)}`}
    >
      {model}
    </Link>
  )
}
