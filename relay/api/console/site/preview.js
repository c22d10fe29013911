// How a stream looks: its newest keyframe, asked for only while the operator wants to see it.
import { picture } from './api.js'
import { h } from './dom.js'

const every = 5000
const wanted = { name: '', timer: 0 }

// frame is the place of a stream's picture; what stands in it is only changed here.
export function frame(name) {
  const on = wanted.name === name
  return [
    h('button', { type: 'button', 'data-preview': name, 'aria-expanded': String(on), 'aria-controls': 'preview' }, on ? 'Hide the preview' : 'Preview'),
    h('div', { id: 'preview', class: 'preview', 'data-key': 'preview ' + name + on, 'data-own': true, hidden: !on }, on && h('p', { role: 'status' }, 'Waiting for a keyframe.')),
  ]
}

// toggle shows a stream's picture, or no longer: then nothing more is asked for. Empty is none.
export function toggle(name) {
  clearTimeout(wanted.timer)
  wanted.name = wanted.name === name ? '' : name
}

// renew asks for a picture now, and again every few seconds while it can be seen.
export async function renew() {
  const name = wanted.name
  clearTimeout(wanted.timer)
  if (!name) return
  if (!document.hidden && place(name)) await load(name).catch((e) => failed(name, e))
  if (wanted.name !== name) return // the timer is that of what is wanted now
  clearTimeout(wanted.timer) // of another that was begun meanwhile
  wanted.timer = setTimeout(renew, every)
}

const place = (name) => wanted.name === name ? document.getElementById('preview') : null

function say(name, text) {
  const p = place(name)?.querySelector('p')
  if (p && p.textContent !== text) p.textContent = text
}

// failed says why there is no picture. One of before would be taken for how it looks now.
function failed(name, e) {
  place(name)?.querySelector('video')?.remove()
  say(name, 'No preview: ' + e.message)
}

// load puts a new picture where the one before was as soon as it can be seen.
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
    await video.play().catch(() => {}) // some show nothing before
  } finally {
    URL.revokeObjectURL(url)
  }
}
