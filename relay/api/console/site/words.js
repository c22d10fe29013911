// Texts of numbers, times and states.

export const bits = (n) => n >= 1e6 ? (n / 1e6).toFixed(2) + ' Mb/s' : Math.round(n / 1e3) + ' kb/s'
export const seconds = (n) => n < 1 ? Math.round(n * 1000) + ' ms' : n.toFixed(1) + ' s'
export const clock = (t) => new Date(t).toLocaleTimeString([], { hour12: false })

export function ago(t) {
  const s = Math.max(0, Math.round((Date.now() - new Date(t)) / 1000))
  if (s < 60) return s + ' s'
  if (s < 3600) return Math.floor(s / 60) + ' min ' + s % 60 + ' s'
  return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min'
}

export const viewers = (s) => Object.values(s.viewers).reduce((a, b) => a + b, 0)

// doing returns what the relay does about a stream's state.
export function doing(s) {
  switch (s.state) {
    case 'live': return s.waiting ? 'another publisher waits for its first keyframe' : 'relaying'
    case 'suspect': return 'waiting for late media'
    case 'held': return 'holding viewers until ' + clock(s.held_until) + ', waiting for a publisher'
    case 'idle': return 'waiting for a first keyframe'
    default: return ''
  }
}

// told returns an event as one line.
export function told(e) {
  const { cause, detail, ...rest } = e.fields ?? {}
  const more = Object.entries(rest).map(([k, v]) => k + ' ' + (typeof v === 'number' ? +v.toFixed(2) : v))
  return [e.type ?? e.kind, cause ?? e.cause, ...more, detail ?? e.detail].filter(Boolean).join(' · ')
}
