// The console shows what the URL names, and refreshes it on events and every few seconds.
import { act } from './act.js'
import { call, follow, token, Unauthorized } from './api.js'
import { detail } from './detail.js'
import { show } from './dom.js'
import { lastPage, list, query } from './list.js'
import { renew, toggle } from './preview.js'
import { pass } from './watch.js'

const every = 3000, soon = 200, again = 1000
const few = 5 // maximum number of rows that are refreshed one by one

const $ = (id) => document.getElementById(id)
const view = {
  about: null, last: '', timer: 0,
  asking: false, next: 0, // ms until the next refresh because of an event
  due: false, changed: new Set(), // an event has arrived, for these streams
  search: '', page: 0, listed: null, // state of the list, and what it shows
  again: () => {}, // renders the last data again
}

// open is the stream that the URL names; empty for all streams.
const open = () => /^#\/([\w.-]+\/[\w.~-]+)$/.exec(location.hash)?.[1] ?? ''

const missing = (none) => (e) => {
  if (e.status !== 404) throw e
  return none
}

// look requests the data and shows it.
async function look(changed) {
  const name = open()
  if (!name) {
    await lookAtAll(changed)
    return
  }
  document.title = name + ' · Holdfast'
  const [stream, history, log, { groups: routes }, token] = await Promise.all([
    call('streams/' + name).catch(missing(null)), call(`streams/${name}/history`).catch(missing(null)),
    call(`streams/${name}/log?limit=100`).catch(missing({ events: [] })), call('routes?stream=' + name), pass(name),
  ])
  const all = { stream, history, routes: routes ?? [], log: log.events, about: view.about, token }
  view.again = () => { if (open() === name) show($('main'), detail(name, all)) }
  view.again()
}

// lookAtAll requests a page of the list or, after events of a few streams on it, only those.
async function lookAtAll(changed) {
  const asked = query(view.page, view.search)
  if (view.listed?.asked !== asked || !await renewed(view.listed, changed)) {
    const got = await call(asked), last = lastPage(got.totals.matching)
    if (view.page > last) { // streams have ended meanwhile
      view.page = last
      await lookAtAll([])
      return
    }
    view.listed = { asked, at: Date.now(), ...got }
  }
  const held = view.listed.totals.states.held
  document.title = (held ? held + ' held · ' : '') + 'Holdfast'
  view.again = () => { if (!open()) show($('main'), list(view.listed, view.page, view.search)) }
  view.again()
}

// renewed requests the rows of a list that changed. It returns false if the whole list must be
// requested.
async function renewed(listed, changed) {
  const at = changed.map((name) => listed.streams.findIndex((s) => s.name === name))
  if (changed.length === 0 || changed.length > few || at.includes(-1) || Date.now() - listed.at >= every) return false
  const fresh = await Promise.all(changed.map((name) => call('streams/' + name).catch(missing(null))))
  at.forEach((i, n) => { // a single stream does not include the number of failing routes
    const was = listed.streams[i]
    listed.streams[i] = fresh[n] ? { ...fresh[n], routes_down: was.routes_down } : was
  })
  return !fresh.includes(null)
}

// refresh requests data once at a time, and again if events have arrived meanwhile. changed are
// their streams; if empty, everything is requested.
async function refresh(changed = []) {
  if (view.asking) {
    view.next = soon
    return
  }
  clearTimeout(view.timer)
  view.asking = true
  view.due = false
  view.changed.clear()
  try {
    view.about ??= await call('relay')
    $('about').textContent = view.about.version
    $('leave').hidden = !token.get()
    await look(changed)
    connected(true)
  } catch (e) {
    failed(e)
  }
  view.asking = false
  clearTimeout(view.timer)
  if (!$('login').open) view.timer = setTimeout(refresh, view.next || every)
  view.next = 0
}

// happened schedules a refresh after an event, later for streams that are not on the page. Many
// events at once cause one refresh, and do not delay it.
function happened(e) {
  view.last = String(e.id)
  const name = open(), shown = name ? e.stream === name : view.listed?.streams.some((s) => s.name === e.stream)
  if (name && !shown) return
  const wait = shown ? soon : again
  view.changed.add(e.stream)
  if (view.asking) view.next ||= wait
  else if (!view.due) {
    view.due = true
    clearTimeout(view.timer)
    view.timer = setTimeout(() => refresh([...view.changed]), wait)
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
  const text = is ? 'connected' : 'the relay does not answer; the data shown is old'
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
$('main').addEventListener('input', (e) => {
  if (e.target.id !== 'search') return
  view.search = e.target.value
  view.page = 0
  refresh()
})
$('main').addEventListener('click', async (e) => {
  const button = e.target.closest('button')
  if (!button || button.getAttribute('aria-disabled') === 'true') return
  if (button.dataset.page) {
    view.page = Number(button.dataset.page)
    await refresh()
    return
  }
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
