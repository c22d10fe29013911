// Elements are created here, from text only: data never becomes markup.

const graphic = new Set(['svg', 'path', 'rect', 'line', 'title', 'desc'])

// h creates an element. Attributes that are null or false are omitted; children that are not
// nodes become text.
export function h(tag, attributes = {}, ...children) {
  const e = graphic.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) e.setAttribute(name, value === true ? '' : value)
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false).map((c) => c instanceof Node ? c : String(c)))
  return e
}

// patch makes old look like fresh and keeps what is equal, including focus and selection.
// Children with data-key keep their identity when they move. A child with data-own is filled
// elsewhere.
export function patch(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.dataset?.key !== fresh.dataset?.key) {
    old.replaceWith(fresh)
    return fresh
  }
  if (old.dataset && 'own' in old.dataset) return old
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data
    return old
  }
  for (const a of [...old.attributes]) if (!fresh.hasAttribute(a.name)) old.removeAttribute(a.name)
  for (const a of fresh.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value)
  fill(old, [...fresh.childNodes])
  return old
}

// fill sets the children of an element by patch.
export function fill(parent, children) {
  const keyed = new Map([...parent.children].filter((c) => c.dataset.key).map((c) => [c.dataset.key, c]))
  let at = parent.firstChild
  for (const child of children) {
    const key = child.dataset?.key
    const same = key ? keyed.get(key) : at && !at.dataset?.key ? at : null
    if (!same) {
      parent.insertBefore(child, at)
      continue
    }
    if (same !== at) parent.insertBefore(same, at)
    at = patch(same, child).nextSibling
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

// show fills an element and keeps the focus, if its element still exists.
export function show(parent, ...children) {
  const had = document.activeElement
  fill(parent, children.flat(Infinity).filter(Boolean))
  if (had && had !== document.activeElement && had.isConnected) had.focus()
}
