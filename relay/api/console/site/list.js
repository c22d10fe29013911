// The list of streams, broken ones first, in pages.
import { h } from './dom.js'
import { ago, bits, doing, viewers } from './words.js'

// page is the number of streams per page.
const page = 50

// lastPage returns the index of the last page for a number of streams.
export const lastPage = (streams) => Math.max(0, Math.ceil(streams / page) - 1)

// query returns the query for the list.
export function query(at, search) {
  const q = new URLSearchParams({ order: 'trouble', limit: page })
  if (at > 0) q.set('skip', at * page)
  if (search) q.set('search', search)
  return 'streams?' + q
}

export function list(got, at, search) {
  const { streams, totals } = got
  const heads = ['Stream', 'State', 'For', 'Why', 'Action', 'Publisher', 'Viewers', 'Routes']
  return [
    h('label', {}, 'Search ', h('input', { id: 'search', class: 'search', type: 'search', autocomplete: 'off', value: search })),
    h('p', { class: 'dim', 'data-key': 'totals' }, summary(totals)),
    got.absent && h('p', { 'data-key': 'absent' }, h('span', { class: 'state broken' }, 'Absent, although a pull should start it:'),
      got.absent.map((name) => [' ', h('a', { href: '#/' + name }, name)])),
    h('section', { 'data-key': 'streams' },
      h('table', { class: 'list' },
        h('thead', {}, h('tr', {}, heads.map((t) => h('th', { scope: 'col' }, t)))),
        h('tbody', {}, streams.map(row))),
      streams.length === 0 && h('p', {}, totals.streams ? 'No matching streams.' : 'There is no stream now.')),
    pager(totals.matching, streams.length, at),
    h('p', { 'data-key': 'drain' }, h('button', { type: 'button', class: 'danger', 'data-act': 'drain' }, 'Drain this relay…')),
  ]
}

function pager(all, shown, at) {
  if (all <= page && at === 0) return null
  const to = (where, text, on) => h('button', { type: 'button', 'data-page': where, 'aria-disabled': String(!on) }, text)
  return h('nav', { class: 'acts', 'aria-label': 'Pages of streams', 'data-key': 'pages' },
    to(at - 1, 'Previous page', at > 0),
    h('span', { role: 'status' }, shown ? `${at * page + 1} to ${at * page + shown} of ${all}` : `none here of ${all}`),
    to(at + 1, 'Next page', at < lastPage(all)))
}

function row(s) {
  const p = s.publisher
  return h('tr', { 'data-key': s.name },
    h('td', {}, h('a', { href: '#/' + s.name }, s.name)),
    h('td', {}, h('span', { class: 'state ' + s.state }, s.state)),
    h('td', { title: s.since }, ago(s.since)),
    h('td', {}, s.state === 'live' ? '' : s.cause ?? ''),
    h('td', {}, doing(s)),
    h('td', {}, p ? p.protocol + ' ' + bits(p.bitrate) + ', ' + Math.round(p.frame_rate) + ' fps' : 'none'),
    h('td', {}, viewers(s) + ' watching'),
    h('td', {}, s.routes_down ? h('span', { class: 'state broken' }, s.routes_down + ' down') : ''))
}

function summary(t) {
  const of = (state) => t.states[state] ?? 0
  return t.streams + ' streams: ' + of('held') + ' held, ' + of('suspect') + ' suspect, ' + of('live') + ' live; ' + t.viewers + ' viewers'
}
