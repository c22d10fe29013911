// A tab remembers what it publishes, so that it can resume after a reload: the source, the devices
// and the key. sessionStorage belongs to the tab and ends with it.
const name = "holdfast publish " + location.pathname.replace(/\/+$/, "");
const recent = 60_000; // milliseconds for which navigations other than a reload resume, too

export function save(publish) {
  try {
    sessionStorage.setItem(name, JSON.stringify({ ...publish, seen: Date.now() }));
  } catch { /* the browser stores nothing: a reload does not resume */ }
}

// touch records that the tab is still publishing.
export function touch() {
  const publish = read();
  if (publish) save(publish);
}

export function forget() {
  try {
    sessionStorage.removeItem(name);
  } catch { /* nothing was stored */ }
}

// saved returns what this tab published until it was reloaded, or undefined if it published
// nothing, or too long ago to switch a camera on without a click.
export function saved() {
  const publish = read();
  const [navigation] = performance.getEntriesByType("navigation");
  if (!publish || (navigation?.type !== "reload" && Date.now() - publish.seen > recent)) return undefined;
  return publish;
}

// lock marks the stream as published by this tab, and returns a function that removes the mark.
// It returns undefined if another tab of this browser publishes the stream: a duplicated tab has
// a copy of the storage. The mark of the page before a reload may last for a moment.
export function lock() {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((granted) => {
    navigator.locks.request(name, { signal: AbortSignal.timeout(2000) }, () => new Promise(granted)).catch(() => granted(undefined));
  });
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? undefined;
  } catch {
    return undefined;
  }
}
