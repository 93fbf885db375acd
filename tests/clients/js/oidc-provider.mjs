// A certified OpenID provider with one client. Prints its issuer when it listens; its own pages log anybody in under the name that is typed.
import { Provider } from 'oidc-provider'
import http from 'node:http'

const [redirect, backChannel, after] = process.argv.slice(2)
const server = http.createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://127.0.0.1:${server.address().port}`
const provider = new Provider(issuer, {
  clients: [{ client_id: 'ollamamax', client_secret: "the client's secret", redirect_uris: [redirect], post_logout_redirect_uris: [after], backchannel_logout_uri: backChannel, backchannel_logout_session_required: true }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
  features: { backchannelLogout: { enabled: true } },
  pkce: { required: () => true },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@acme.example`, email_verified: true, name: id, groups: ['staff'] }) }),
  cookies: { keys: ['a key of a test'] },
})
server.on('request', provider.callback())
console.log(issuer)
