/** The command with which a host joins. */
export type Engine = 'ollama' | 'openai' | 'llamacpp'

/** A node's name, as the server takes it. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

interface Wanted {
  origin: string
  token: string
  engine: Engine
  name: string
  slots: number | string
}

export function joinCommand({ origin, token, engine, name, slots }: Wanted): string {
  const parts = [`ollamamax-node join ${origin}`, `--token ${token}`, `--engine ${engine}`]
  if (engine === 'openai') parts.push('--engine-url http://127.0.0.1:8000')
  parts.push(`--name ${name}`)
  if (typeof slots === 'number') parts.push(`--slots ${String(slots)}`)
  return parts.join(' \\\n  ')
}
