// The preview of a stream: its newest keyframe, requested only while it is shown.
import { picture } from './api.js'
import { h } from './dom.js'

const every = 5000
const wanted = { name: '', timer: 0 }

// frame returns the element of a stream's preview, whose content is only changed here.
export function frame(name) {
  const on = wanted.name === name
  return [
    h('button', { type: 'button', 'data-preview': name, 'aria-expanded': String(on), 'aria-controls': 'preview' }, on ? 'Hide the preview' : 'Preview'),
    h('div', { id: 'preview', class: 'preview', 'data-key': 'preview ' + name + on, 'data-own': true, hidden: !on }, on && h('p', { role: 'status' }, 'Waiting for a keyframe.')),
  ]
}

// toggle shows or hides a stream's preview. While hidden, nothing is requested. An empty name
// hides it.
export function toggle(name) {
  clearTimeout(wanted.timer)
  wanted.name = wanted.name === name ? '' : name
}

// renew requests a keyframe now, and every few seconds while it is visible.
export async function renew() {
  const name = wanted.name
  clearTimeout(wanted.timer)
  if (!name) return
  if (!document.hidden && place(name)) await load(name).catch((e) => failed(name, e))
  if (wanted.name !== name) return // the timer belongs to another preview
  clearTimeout(wanted.timer) // of another request that was started meanwhile
  wanted.timer = setTimeout(renew, every)
}

const place = (name) => wanted.name === name ? document.getElementById('preview') : null

function say(name, text) {
  const p = place(name)?.querySelector('p')
  if (p && p.textContent !== text) p.textContent = text
}

// failed shows why there is no preview. An old keyframe would look current.
function failed(name, e) {
  place(name)?.querySelector('video')?.remove()
  say(name, 'No preview: ' + e.message)
}

// load replaces the keyframe as soon as the new one can be shown.
async function load(name) {
  const url = URL.createObjectURL(await picture(name))
  const video = h('video', { playsinline: true, 'aria-label': 'Preview of ' + name })
  video.muted = true
  try {
    await new Promise((seen, fail) => {
      video.addEventListener('loadeddata', seen, { once: true })
      const not = () => fail(new Error('this browser cannot play it'))
      video.addEventListener('error', not, { once: true })
      setTimeout(not, every)
      video.src = url
    })
    const box = place(name)
    box?.querySelector('video')?.remove()
    box?.prepend(video)
    say(name, 'The newest keyframe, refreshed every ' + every / 1000 + ' seconds.')
    await video.play().catch(() => {}) // some browsers show nothing otherwise
  } finally {
    URL.revokeObjectURL(url)
  }
}
