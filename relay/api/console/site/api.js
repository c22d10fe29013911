// What the relay is asked. The token is kept for this tab's session and no longer.

const kept = 'holdfast-token'
const patience = 10_000 // ms for an answer

export const token = {
  get: () => sessionStorage.getItem(kept) ?? '',
  set: (value) => value ? sessionStorage.setItem(kept, value) : sessionStorage.removeItem(kept),
}

// Unauthorized is what calls fail with when the relay asks for a token, or another one.
export class Unauthorized extends Error {}

function ask(path, o = {}) {
  const headers = { Accept: 'application/json', ...o.headers }
  if (token.get()) headers.Authorization = 'Bearer ' + token.get()
  return fetch('api/v1/' + path, { ...o, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' })
}

const late = () => AbortSignal.timeout(patience)

// wrong is what the relay says is wrong with a request.
async function wrong(r) {
  if (r.status === 401) return new Unauthorized('wrong token')
  const said = await r.json().catch(() => ({ error: 'status ' + r.status, hint: 'is this the relay?' }))
  return Object.assign(new Error(said.error + '; ' + said.hint), { status: r.status })
}

// call asks, and returns what the answer holds; it fails with what the relay says is wrong.
export async function call(path, method = 'GET', body) {
  const r = await ask(path, { method, signal: late(), ...body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } } })
  if (!r.ok) throw await wrong(r)
  return r.status === 204 ? null : r.json()
}

// picture is a stream's newest keyframe as a film of it alone.
export async function picture(name) {
  const r = await ask(`streams/${name}/preview`, { signal: late(), headers: { Accept: 'video/mp4' } })
  if (!r.ok) throw await wrong(r)
  return r.blob()
}

// follow hands on what happens until the connection breaks. EventSource could send no token.
// The last id that was seen is given, so that nothing is missed over a break.
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
