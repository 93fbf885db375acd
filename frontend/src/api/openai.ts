/** What an inference endpoint says that went wrong, in a sentence. */
export async function errorIn(answer: Response): Promise<string> {
  try {
    const body = (await answer.json()) as { error?: string | { message?: string } }
    const said = typeof body.error === 'string' ? body.error : body.error?.message
    if (said) return said
  } catch {
    // Not JSON: a proxy's page, perhaps. The status has to do.
  }
  return `The server answered ${answer.status}.`
}
