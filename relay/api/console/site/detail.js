// The page of one stream.
import { curve, timeline } from './chart.js'
import { h } from './dom.js'
import { frame } from './preview.js'
import { routed } from './routes.js'
import { ago, bits, clock, doing, seconds, told } from './words.js'

export function detail(name, v) {
  const s = v.stream
  if (!s) {
    return [h('p', {}, h('a', { href: '#/' }, 'All streams')), h('section', {}, h('h2', {}, name),
      h('p', {}, 'There is no such stream now. Its log is kept below.')), routes(name, v.routes), events(v.log)]
  }
  return [
    h('p', {}, h('a', { href: '#/' }, 'All streams')),
    h('section', { 'aria-labelledby': 'name' },
      h('h2', { id: 'name' }, s.name + ' ', h('span', { id: 'state', 'aria-live': 'polite', class: 'state ' + s.state }, s.state), h('span', { class: 'dim' }, ' for ' + ago(s.since))),
      h('p', {}, [s.state !== 'live' && s.cause && 'Cause: ' + s.cause, doing(s)].filter(Boolean).join('; ')),
      v.history && timeline(v.history.spans, 15),
      acts(s, v.about, v.token)),
    v.history && charts(v.history),
    h('section', {}, h('h2', {}, 'Publisher'), publisher(s)),
    h('section', {}, h('h2', {}, 'Viewers'), facts(Object.entries(s.viewers).map(([k, n]) => [k, n]), 'No viewers.'),
      facts([['buffer', seconds(s.buffer.seconds) + ', ' + (s.buffer.bytes / 2 ** 20).toFixed(1) + ' MiB'], ['breaks', count(s.breaks)]])),
    routes(name, v.routes),
    events(v.log),
  ]
}

const routes = (name, groups) => groups.flatMap((g) => g.streams.filter((r) => r.stream === name).map((r) => routed(g, r)))

function acts(s, about, token) {
  const button = (act, text, on = true) => on && h('button', { type: 'button', class: act === 'kick' && 'danger', 'data-act': act, 'data-stream': s.name }, text)
  return h('div', { class: 'acts', 'data-key': 'acts' },
    about.watch.port > 0 && h('a', { href: `${about.watch.scheme}://${location.hostname}:${about.watch.port}/${s.name}/${token ? '?token=' + token : ''}`, target: '_blank', rel: 'noopener noreferrer' }, 'Watch it'),
    button('kick', 'Kick the publisher', s.publisher || s.waiting),
    button('ceiling', 'Ask for less…'), button('lift', 'Lift the ceiling of ' + bits(s.cap ?? 0), s.cap > 0), frame(s.name))
}

function publisher(s) {
  return [
    s.publisher ? push(s.publisher, s) : h('p', {}, 'No publisher.'),
    s.waiting && [h('h3', {}, 'Waiting for its first keyframe'), push(s.waiting)],
    (s.publishers ?? []).filter((p) => p.session !== s.publisher?.session && p.session !== s.waiting?.session)
      .map((p) => [h('h3', {}, 'Spare (' + p.role + '), ' + (p.ready ? 'ready to take over' : 'not ready')), push(p)]),
  ].flat(3).filter(Boolean)
}

function push(p, s) {
  return facts([
    ['from', p.remote], ['agent', p.agent], ['protocol', p.protocol], ['session', p.session], ['since', p.since && clock(p.since) + ', ' + ago(p.since)],
    ['bitrate', bits(p.bitrate ?? 0) + ', ' + (p.frame_rate ?? 0).toFixed(1) + ' fps'],
    ['round trip', p.rtt_seconds > 0 && seconds(p.rtt_seconds)], ['longest gap', p.gap_seconds > 0 && seconds(p.gap_seconds)],
    ['silent for', p.quiet_seconds > 1 && seconds(p.quiet_seconds)],
    ...(s?.tracks ?? []).map((t) => [t.width ? 'picture' : 'sound', [t.codec, t.profile, t.width && t.width + '×' + t.height, t.sample_rate && t.sample_rate + ' Hz', t.channels && t.channels + ' channels'].filter(Boolean).join(', ')]),
    ...(p.repairs ?? []).map((r) => ['repaired ' + r.track, r.count + ' × ' + r.problem + '. ' + r.hint + '.']),
    s?.ceiling > 0 && ['ceiling', bits(s.ceiling)],
  ])
}

function facts(pairs, none) {
  const all = pairs.filter((p) => p && p[1] !== undefined && p[1] !== false && p[1] !== '')
  return all.length ? h('dl', {}, all.map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)])) : none ? h('p', {}, none) : null
}

const count = (breaks) => Object.entries(breaks).map(([cause, n]) => n + ' × ' + cause).join(', ') || 'none'

function charts(past) {
  const measured = past.state.map((s) => s !== '')
  const watching = Object.values(past.viewers)
  return h('section', {}, h('h2', {}, 'The last 15 minutes'), h('div', { class: 'charts' },
    curve('Bitrate', past.bitrate, measured, bits),
    curve('Pictures', past.fps, measured, (n) => n.toFixed(1) + ' fps'),
    curve('Arrival gap', past.gap_seconds, measured, seconds),
    curve('Viewers', past.state.map((_, i) => watching.reduce((n, of) => n + of[i], 0)), measured, String),
    curve('Buffer', past.buffer_seconds, measured, seconds),
    Object.entries(past.lag_seconds).map(([group, lags]) => curve('Lag of push ' + group, lags.map((l) => l ?? 0), lags.map((l) => l !== null), seconds))))
}

function events(log) {
  return h('section', {}, h('h2', {}, 'Events'), log.length === 0 && h('p', {}, 'No events so far.'),
    h('ol', { class: 'events', tabindex: 0, 'aria-label': 'Events, the newest first' },
      log.toReversed().slice(0, 100).map((e) => h('li', { 'data-key': e.id ? 'e' + e.id : e.time }, h('time', { datetime: e.time }, clock(e.time)), ' ' + told(e)))))
}
