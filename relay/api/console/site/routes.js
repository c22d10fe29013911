// A stream's routes in a group, and the decisions of the policy.
import { h } from './dom.js'
import { ago, bits, clock, seconds } from './words.js'

export function routed(group, s) {
  const at = group.name + '/' + s.stream
  return h('section', { 'data-key': 'group ' + at },
    h('h2', {}, (group.direction === 'pull' ? 'Pull ' : 'Push ') + group.name + ': ', s.active ? 'over ' + s.active : h('span', { class: 'state broken' }, 'no route carries it')),
    s.forced && h('p', {}, 'You have forced the route ' + s.forced + '. ', act('auto', 'Route: auto', at)),
    h('table', { class: 'list' }, h('thead', {}, h('tr', {}, ['Route', 'State', 'Score and why', 'Last failure', 'Actions'].map((t) => h('th', { scope: 'col' }, t)))),
      h('tbody', {}, s.routes.map((r) => row(r, s, at)))),
    s.ladder && ladder(s.ladder, at),
    s.decisions.length > 0 && [h('h3', {}, 'Decisions'), h('ol', { class: 'events' }, s.decisions.slice(0, 8).map((d) =>
      h('li', { 'data-key': d.at + d.text }, h('time', {}, clock(d.at)), ' ' + [d.cause, d.from && d.from + ' → ' + d.route, d.text].filter(Boolean).join(' · '))))])
}

const act = (what, text, at, value) => h('button', { type: 'button', 'data-act': what, 'data-at': at, 'data-value': value }, text)

function row(r, s, at) {
  const state = r.state.split(/[ _]/)[0]
  const next = r.gave_up ? 'gave up until reset' : r.denied ? 'denied by the peer' : r.backoff_seconds > 0 ? 'next dial in ' + seconds(r.backoff_seconds) : r.waiting ? 'waiting for its turn' : ''
  return h('tr', { 'data-key': r.name },
    h('th', { scope: 'row' }, r.name, h('div', { class: 'dim' }, r.target)),
    h('td', {}, h('span', { class: 'state ' + state }, r.state), r.since ? ' for ' + ago(r.since) : '', next && h('div', {}, next), r.rtt_seconds > 0 && h('div', {}, 'round trip ' + seconds(r.rtt_seconds))),
    h('td', {}, r.score.value.toFixed(2), (r.score.parts ?? []).filter((p) => p.value < 0.995).map((p) => h('div', { class: 'dim' }, p.name + ' ' + p.value.toFixed(2) + ': ' + p.why))),
    h('td', {}, r.last_failure ? r.last_failure + (r.fails ? ', ' + r.fails + ' in a row' : '') : 'none'),
    h('td', {}, s.forced !== r.name && act('route', 'Force ' + r.name, at, r.name), ' ', act('reset', 'Reset ' + r.name, at, r.name)))
}

function ladder(l, at) {
  return h('div', {},
    h('p', {}, 'Rung: ', h('strong', {}, l.rung), l.forced ? ' (forced by you)' : '', l.reason ? ' · ' + l.reason : '',
      ' · delivers ' + bits(l.delivered) + ' of ' + bits(l.stream) + ', lag ' + seconds(l.lag_seconds)),
    h('div', { class: 'acts' }, (l.rungs ?? []).map((name) => name !== l.forced && act('rung', 'Force rung ' + name, at, name)), l.forced && act('rungauto', 'Rung: auto', at)))
}
