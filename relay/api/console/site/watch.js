// Play tokens for operators, for streams that are not open to everyone.
import { call } from './api.js'

const fresh = 5 * 60_000 // ms after which a new token is requested; each is valid for longer
const last = { name: '', token: '', at: 0 }

// pass returns a play token for a stream, or '' if it needs none, or none is available.
export async function pass(name) {
  if (last.name === name && Date.now() - last.at < fresh) return last.token
  const { token } = await call(`streams/${name}/watch`, 'POST').catch((e) => {
    if (!e.status) throw e
    return { token: '' }
  })
  Object.assign(last, { name, token, at: Date.now() })
  return token
}
