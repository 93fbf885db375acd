/** What has consequences: asked for before it is done, and told of when it is done or failed. */
import { confirmed, type Question } from './confirm'
import { done, failed } from './toast'

/** Whether it was done: false where the person says no, and where it fails. */
export async function act(question: Question, run: () => Promise<unknown>, said: string): Promise<boolean> {
  if (!(await confirmed(question))) return false
  return attempt(run, said)
}

/** The same for what needs no question. */
export async function attempt(run: () => Promise<unknown>, said: string): Promise<boolean> {
  try {
    await run()
    done(said)
    return true
  } catch (error) {
    failed(error)
    return false
  }
}
