/** Proving who one is: the second factor of a log-in, a passkey alone, and confirming it for a dangerous act. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { startAuthentication, startRegistration, WebAuthnError } from '@simplewebauthn/browser'
import { api, bodyOf, Problem } from './client'
import type { components } from './schema'
import { sessionQuery, type Session } from './session'

export type Proof =
  | { password: string }
  | { code: string }
  | { recovery_code: string }
  | { credential: Record<string, unknown> }
type Asked = components['schemas']['PasskeyOptions']
type RequestOptions = Parameters<typeof startAuthentication>[0]['optionsJSON']
type CreationOptions = Parameters<typeof startRegistration>[0]['optionsJSON']

/** What the browser's passkeys sign. Whoever closes its dialog is told so in words. */
async function signed(asked: Asked): Promise<Record<string, unknown>> {
  return inWords(startAuthentication({ optionsJSON: asked.options as unknown as RequestOptions }))
}

export async function madePasskey(asked: Asked): Promise<Record<string, unknown>> {
  return inWords(startRegistration({ optionsJSON: asked.options as unknown as CreationOptions }))
}

async function inWords(answer: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    return (await answer) as Record<string, unknown>
  } catch (error) {
    if (error instanceof WebAuthnError && error.code === 'ERROR_AUTHENTICATOR_PREVIOUSLY_REGISTERED') {
      throw new Problem(0, 'passkey_known', 'This passkey is registered already.')
    }
    throw new Problem(0, 'passkey', 'No passkey was used. Try again.')
  }
}

function useSession(send: (proof: Proof) => Promise<Session>) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: send,
    onSuccess: (session) => {
      queries.setQueryData(sessionQuery.queryKey, session)
    },
  })
}

/** After the password was right. */
export function useShowFactor() {
  return useSession(async (body) => bodyOf(await api.POST('/api/v1/session/factor', { body })))
}

export async function passkeyForFactor(): Promise<Proof> {
  return { credential: await signed(bodyOf(await api.POST('/api/v1/session/factor/options'))) }
}

export async function passkeyToConfirm(): Promise<Proof> {
  return { credential: await signed(bodyOf(await api.POST('/api/v1/session/confirm/options'))) }
}

export function useLogInByPasskey() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: async (): Promise<Session> => {
      const credential = await signed(bodyOf(await api.POST('/api/v1/session/passkey/options')))
      return bodyOf(await api.POST('/api/v1/session/passkey', { body: { credential } }))
    },
    onSuccess: (session) => {
      queries.setQueryData(sessionQuery.queryKey, session)
    },
  })
}

export async function confirmSession(body: Proof): Promise<void> {
  await api.POST('/api/v1/session/confirm', { body })
}
