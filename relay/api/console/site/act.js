// Actions of the operator, each after a confirmation.
import { call } from './api.js'

const acts = {
  kick: (d) => ({ what: 'Kick the publisher of ' + d.stream + '?', means: 'Its connection is closed. Viewers are held until a publisher returns; most encoders reconnect at once.', yes: 'Kick', path: `streams/${d.stream}/publisher`, method: 'DELETE' }),
  ceiling: (d) => ({ what: 'Limit the bitrate of ' + d.stream + '?', means: 'It lasts as long as the stream.', ask: 'kb/s', yes: 'Ask', path: `streams/${d.stream}/ceiling`, method: 'PUT', body: (n) => ({ bitrate: n * 1000 }) }),
  lift: (d) => ({ what: 'Lift the ceiling of ' + d.stream + '?', means: 'The publisher may send as much as it likes.', yes: 'Lift', path: `streams/${d.stream}/ceiling`, method: 'DELETE' }),
  route: (d) => ({ what: 'Force the route ' + d.value + '?', means: 'It is used, healthy or not, until you let policy choose again.', yes: 'Force', path: `routes/${d.at}/route`, method: 'PUT', body: () => ({ route: d.value }) }),
  auto: (d) => ({ what: 'Let policy choose the route of ' + d.at + '?', means: 'The stream switches to the best one.', yes: 'Auto', path: `routes/${d.at}/route`, method: 'DELETE' }),
  rung: (d) => ({ what: 'Force the rung ' + d.value + '?', means: 'The push stays at it until you let policy choose again.', yes: 'Force', path: `routes/${d.at}/rung`, method: 'PUT', body: () => ({ rung: d.value }) }),
  rungauto: (d) => ({ what: 'Let policy choose the rung of ' + d.at + '?', means: 'It rises as the connection allows.', yes: 'Auto', path: `routes/${d.at}/rung`, method: 'DELETE' }),
  reset: (d) => ({ what: 'Forget the failures of ' + d.value + '?', means: 'It is dialed as if it had never failed.', yes: 'Reset', path: `routes/${d.at}/reset`, method: 'POST', body: () => ({ route: d.value }) }),
  drain: () => ({ what: 'Drain this relay?', means: 'It accepts no new connections, ends all sessions cleanly and exits, as at SIGTERM.', yes: 'Drain', again: 'All publishers and viewers of this relay have to go elsewhere. Really?', path: 'drain', method: 'POST' }),
}

const $ = (id) => document.getElementById(id)

// confirmed asks for confirmation. It returns the entered number, 0 if none was asked for, or
// null if the operator declined.
function confirmed(a) {
  const dialog = $('confirm'), value = $('confirm-value')
  $('confirm-what').textContent = a.what
  $('confirm-means').textContent = a.means
  $('confirm-yes').textContent = a.yes
  $('confirm-ask').hidden = !a.ask
  $('confirm-ask').firstElementChild.textContent = a.ask ?? ''
  value.required = !!a.ask
  value.value = ''
  dialog.returnValue = 'no'
  dialog.showModal()
  if (a.ask) value.focus()
  return new Promise((done) => dialog.addEventListener('close', () => done(dialog.returnValue === 'yes' ? Number(value.value) : null), { once: true }))
}

$('confirm-no').addEventListener('click', () => $('confirm').close('no'))

// act performs the action of a button, and returns its result, or "" if nothing was done.
export async function act(button) {
  const a = acts[button.dataset.act](button.dataset)
  const number = await confirmed(a)
  if (number === null || a.again && await confirmed({ ...a, means: a.again }) === null) return ''
  const answer = await call(a.path, a.method, a.body?.(number))
  return answer?.asked === false ? 'Done, but this publisher cannot be asked.' : 'Done.'
}
