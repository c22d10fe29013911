// The list of all streams, broken ones first.
import { h } from './dom.js'
import { ago, bits, doing, rank, viewers } from './words.js'

export function list(streams, routes, wanted) {
  const shown = streams.filter((s) => s.name.toLowerCase().includes(wanted.toLowerCase()))
    .sort((a, b) => rank(a) - rank(b) || broken(routes, b.name) - broken(routes, a.name) || a.name.localeCompare(b.name))
  const heads = ['Stream', 'State', 'For', 'Why', 'What is done', 'Publisher', 'Viewers', 'Routes']
  return [
    h('label', {}, 'Search ', h('input', { id: 'search', class: 'search', type: 'search', autocomplete: 'off' })),
    h('p', { class: 'dim' }, summary(streams)),
    h('section', {},
      h('table', { class: 'list' },
        h('thead', {}, h('tr', {}, heads.map((t) => h('th', { scope: 'col' }, t)))),
        h('tbody', {}, shown.map((s) => row(s, routes)))),
      shown.length === 0 && h('p', {}, streams.length ? 'No stream is named so.' : 'There is no stream now.')),
    h('p', {}, h('button', { type: 'button', class: 'danger', 'data-act': 'drain' }, 'Drain this relay…')),
  ]
}

function row(s, routes) {
  const p = s.publisher, bad = broken(routes, s.name)
  return h('tr', { 'data-key': s.name },
    h('td', {}, h('a', { href: '#/' + s.name }, s.name)),
    h('td', {}, h('span', { class: 'state ' + s.state }, s.state)),
    h('td', { title: s.since }, ago(s.since)),
    h('td', {}, s.state === 'live' ? '' : s.cause ?? ''),
    h('td', {}, doing(s)),
    h('td', {}, p ? p.protocol + ' ' + bits(p.bitrate) + ', ' + Math.round(p.frame_rate) + ' fps' : 'none'),
    h('td', {}, viewers(s) + ' watching'),
    h('td', {}, bad ? h('span', { class: 'state broken' }, bad + ' not well') : ''))
}

// broken counts the pushes and pulls of a stream that no route carries.
function broken(groups, name) {
  return groups.flatMap((g) => g.on_demand ? [] : g.streams).filter((s) => s.stream === name && !s.active).length
}

function summary(streams) {
  const of = (state) => streams.filter((s) => s.state === state).length
  return streams.length + ' streams: ' + of('held') + ' held, ' + of('suspect') + ' suspect, ' + of('live') + ' live; '
    + streams.reduce((n, s) => n + viewers(s), 0) + ' viewers'
}
