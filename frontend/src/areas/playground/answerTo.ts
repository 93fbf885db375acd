/** Asks a model for the next turn, and tells what it said so far and how long that took. */
import { sentence } from '../../api/client'
import { chat, type Part } from '../../api/playground'
import { bodyOfChat, type Answered, type Parameters, type Turn } from './conversation'

const NOTHING: Answered = {
  text: '',
  thinking: '',
  usage: null,
  calls: [],
  finish: null,
  firstToken: null,
  took: null,
  request: null,
  error: null,
}

/** `say` gets the answer so far, each time more; `signal` stops it where it is. */
export async function answerTo(
  model: string,
  turns: readonly Turn[],
  parameters: Parameters,
  signal: AbortSignal,
  say: (answer: Answered) => void,
): Promise<void> {
  const began = performance.now()
  let now = NOTHING
  const next = (part: Partial<Answered>) => {
    now = { ...now, ...part }
    say(now)
  }
  const hear = (part: Part) => {
    const begun = part.text !== '' || part.thinking !== ''
    next({ ...part, ...(now.firstToken === null && begun ? { firstToken: performance.now() - began } : {}) })
  }
  next({})
  try {
    const { request } = await chat(bodyOfChat(model, turns, parameters), hear, signal)
    next({ took: performance.now() - began, request })
  } catch (error) {
    next({ took: performance.now() - began, error: signal.aborted ? null : sentence(error) })
  }
}
