// The console: it asks for what the address names, shows it, and asks again when something
// happens, and every few seconds.
import { act } from './act.js'
import { call, follow, token, Unauthorized } from './api.js'
import { detail } from './detail.js'
import { show } from './dom.js'
import { list } from './list.js'
import { renew, toggle } from './preview.js'

const every = 3000, soon = 200, again = 1000

const $ = (id) => document.getElementById(id)
const view = { about: null, last: '', asking: false, more: false, due: false, timer: 0, again: () => {} }

// open is the stream that the address names; empty: all of them.
const open = () => /^#\/([\w.-]+\/[\w.~-]+)$/.exec(location.hash)?.[1] ?? ''

const missing = (none) => (e) => {
  if (e.status !== 404) throw e
  return none
}

// look asks for what is shown and shows it.
async function look() {
  const name = open()
  const routes = (await call('routes')).groups ?? []
  if (!name) {
    const all = (await call('streams')).streams
    const held = all.filter((s) => s.state === 'held').length
    document.title = (held ? held + ' held · ' : '') + 'Holdfast'
    if (open() === name) show($('main'), list(all, routes, $('search')?.value ?? ''))
    return
  }
  document.title = name + ' · Holdfast'
  const [stream, history, log] = await Promise.all([
    call('streams/' + name).catch(missing(null)), call(`streams/${name}/history`).catch(missing(null)),
    call(`streams/${name}/log?limit=100`).catch(missing({ events: [] })),
  ])
  const all = { stream, history, routes, log: log.events, about: view.about }
  view.again = () => { if (open() === name) show($('main'), detail(name, all)) }
  view.again()
}

// refresh looks once at a time, and once more if something has happened meanwhile.
async function refresh() {
  if (view.asking) {
    view.more = true
    return
  }
  clearTimeout(view.timer)
  view.asking = true
  view.due = false
  try {
    view.about ??= await call('relay')
    $('about').textContent = view.about.version
    $('leave').hidden = !token.get()
    await look()
    connected(true)
  } catch (e) {
    failed(e)
  }
  view.asking = false
  clearTimeout(view.timer)
  if (!$('login').open) view.timer = setTimeout(refresh, view.more ? soon : every)
  view.more = false
}

// happened has it looked at soon; many events at once are looked at once, and put nothing off.
function happened(e) {
  view.last = String(e.id)
  if (view.asking) view.more = true
  else if (!view.due) {
    view.due = true
    clearTimeout(view.timer)
    view.timer = setTimeout(refresh, soon)
  }
}

async function listen() {
  for (;;) {
    try {
      await follow(view.last, refresh, happened)
    } catch (e) {
      if (e instanceof Unauthorized) return
    }
    await new Promise((done) => setTimeout(done, again))
  }
}

function connected(is) {
  const text = is ? 'connected' : 'the relay does not answer; what is shown is old'
  if ($('link').textContent !== text) $('link').textContent = text
}

function failed(e) {
  if (!(e instanceof Unauthorized)) {
    connected(false)
    return
  }
  show($('main'))
  $('login-why').textContent = token.get() ? 'That is not this relay’s token.' : 'This relay asks for its admin token.'
  token.set('')
  view.about = null
  if (!$('login').open) $('login').showModal()
}

let listening = null
async function enter() {
  await refresh()
  if ($('login').open || listening) return
  listening = listen().finally(() => { listening = null })
}

$('login').addEventListener('close', () => {
  token.set($('token').value)
  $('token').value = ''
  enter()
})
$('login').addEventListener('cancel', (e) => e.preventDefault())
$('leave').addEventListener('click', () => {
  token.set('')
  location.reload()
})
$('main').addEventListener('input', (e) => { if (e.target.id === 'search') refresh() })
$('main').addEventListener('click', async (e) => {
  const button = e.target.closest('button[data-act], button[data-preview]')
  if (!button) return
  if (button.dataset.preview) {
    toggle(button.dataset.preview)
    view.again()
    renew()
    return
  }
  try {
    $('said').textContent = await act(button)
  } catch (e) {
    $('said').textContent = 'Not done: ' + e.message
    if (e instanceof Unauthorized) failed(e)
  }
  refresh()
})
addEventListener('hashchange', () => {
  $('said').textContent = ''
  toggle('')
  refresh()
  $('main').focus()
})
enter()
