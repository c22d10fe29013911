// Calls of the API. The token is kept for this tab's session.

const kept = 'holdfast-token'
const patience = 10_000 // ms, timeout of a request

export const token = {
  get: () => sessionStorage.getItem(kept) ?? '',
  set: (value) => value ? sessionStorage.setItem(kept, value) : sessionStorage.removeItem(kept),
}

// Unauthorized is the error of calls with a missing or wrong token.
export class Unauthorized extends Error {}

function ask(path, o = {}) {
  const headers = { Accept: 'application/json', ...o.headers }
  if (token.get()) headers.Authorization = 'Bearer ' + token.get()
  return fetch('api/v1/' + path, { ...o, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' })
}

const late = () => AbortSignal.timeout(patience)

// wrong returns the error of a response.
async function wrong(r) {
  if (r.status === 401) return new Unauthorized('wrong token')
  const said = await r.json().catch(() => ({ error: 'status ' + r.status, hint: 'is this the relay?' }))
  return Object.assign(new Error(said.error + '; ' + said.hint), { status: r.status })
}

// call sends a request and returns the content of the response. It throws the error that the
// relay reports.
export async function call(path, method = 'GET', body) {
  const r = await ask(path, { method, signal: late(), ...body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } } })
  if (!r.ok) throw await wrong(r)
  return r.status === 204 ? null : r.json()
}

// picture returns a stream's newest keyframe as a file.
export async function picture(name) {
  const r = await ask(`streams/${name}/preview`, { signal: late(), headers: { Accept: 'video/mp4' } })
  if (!r.ok) throw await wrong(r)
  return r.blob()
}

// follow passes events on until the connection breaks. EventSource could not send the token. It
// sends the last event's ID, so that no event is missed.
export async function follow(last, opened, seen) {
  const r = await ask('events', { headers: { Accept: 'text/event-stream', ...last && { 'Last-Event-ID': last } } })
  if (!r.ok) throw await wrong(r)
  opened()
  const reader = r.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    const blocks = (rest + value).split('\n\n')
    rest = blocks.pop()
    for (const block of blocks) {
      const data = block.split('\n').find((l) => l.startsWith('data: '))
      if (data) seen(JSON.parse(data.slice(6)))
    }
  }
}
