// Charts of a stream's last minutes, each with a text.
import { h } from './dom.js'
import { ago, clock } from './words.js'

const wide = 300, high = 60
const steps = 180 // in 15 minutes

// curve draws values over time, with gaps where nothing was measured.
export function curve(title, values, measured, say) {
  const most = Math.max(...values, 0) || 1
  const across = wide / (steps - 1), begin = steps - values.length
  let path = '', down = false
  values.forEach((v, i) => {
    if (measured[i]) path += (down ? 'L' : 'M') + ((begin + i) * across).toFixed(1) + ' ' + (high - 2 - v / most * (high - 6)).toFixed(1)
    down = measured[i]
  })
  const known = values.filter((_, i) => measured[i])
  const text = known.length ? 'now ' + say(known.at(-1)) + ', from ' + say(Math.min(...known)) + ' to ' + say(Math.max(...known)) : 'nothing measured yet'
  return h('figure', {},
    h('figcaption', {}, h('strong', {}, title), ' ' + text),
    h('svg', { viewBox: `0 0 ${wide} ${high}`, role: 'img', 'aria-label': title + ': ' + text, preserveAspectRatio: 'none' },
      h('line', { class: 'axis', x1: 0, x2: wide, y1: high - 1, y2: high - 1 }),
      h('path', { class: 'curve', d: path || 'M0 0' })))
}

// timeline draws the states of a stream over time, and lists its breaks.
export function timeline(spans, minutes) {
  const now = Date.now(), from = now - minutes * 60e3
  const x = (t) => Math.min(1000, Math.max(0, (t - from) / (now - from) * 1000))
  const bars = spans.toSorted((a, b) => (a.state === 'held') - (b.state === 'held')).map((s) => { // draw short breaks on top
    const begin = x(new Date(s.since)), end = s.until ? x(new Date(s.until)) : 1000
    return h('rect', { class: 'span ' + s.state, x: begin.toFixed(1), y: 0, width: Math.max(2, end - begin).toFixed(1), height: 22 },
      h('title', {}, s.state + (s.cause ? ' (' + s.cause + ')' : '') + ' since ' + clock(s.since)))
  })
  const breaks = spans.filter((s) => s.state === 'held').reverse()
  const text = breaks.length ? breaks.length + (breaks.length > 1 ? ' breaks' : ' break') + ' in the last ' + minutes + ' minutes' : 'no break in the last ' + minutes + ' minutes'
  return [
    h('svg', { class: 'timeline', viewBox: '0 0 1000 22', role: 'img', 'aria-label': text, preserveAspectRatio: 'none' }, bars),
    h('p', { class: 'dim' }, text),
    breaks.length > 0 && h('ul', {}, breaks.slice(0, 12).map((s) => h('li', {},
      h('time', {}, clock(s.since)), ' ' + (s.cause || 'break') + (s.until ? ', resumed after ' + ((new Date(s.until) - new Date(s.since)) / 1000).toFixed(1) + ' s' : ', held for ' + ago(s.since))))),
  ].filter(Boolean)
}
