const memory = 300_000; // milliseconds shown
const svg = "http://www.w3.org/2000/svg";

// Track holds the states of one thing over time, on this browser's clock.
class Track {
  spans = [];

  // is records a state since a time, unless it is the current one.
  is(state, since = Date.now()) {
    if (this.spans.at(-1)?.state !== state) this.spans.push({ state, since });
    this.#trim();
  }

  #trim() {
    while (this.spans.length > 1 && this.spans[1].since < Date.now() - memory) this.spans.shift();
  }

  // all replaces the spans from the first of these on.
  all(spans) {
    this.spans = this.spans.filter((s) => s.since < spans[0].since).concat(spans);
    this.#trim();
  }

  // within returns the spans since a time, each with its end.
  within(from, now) {
    return this.spans
      .map(({ state, since }, i) => ({ state, from: Math.max(since, from), to: this.spans[i + 1]?.since ?? now }))
      .filter((s) => s.to > s.from);
  }
}

// History shows the last five minutes of the stream, also from before the page was opened, and
// of the viewer's connection. States differ in height as well as in color.
export class History {
  stream = new Track();
  line = new Track();

  constructor(picture) {
    this.picture = picture;
  }

  // report adds a report of the relay, converted from its clock.
  report({ state, since, now, past }) {
    const off = Date.now() - Date.parse(now);
    this.stream.all([...(past ?? []), { state, since }].map((s) => ({ state: s.state, since: Date.parse(s.since) + off })));
  }

  show(now = Date.now()) {
    const from = now - memory;
    const rows = [[this.stream.within(from, now), 0], [this.line.within(from, now), 12]];
    const height = { live: 10, held: 6, down: 3, ended: 2 };
    const bands = rows.flatMap(([spans, top]) =>
      spans.filter((s) => height[s.state]).map((s) => {
        const band = document.createElementNS(svg, "rect");
        const set = { class: s.state, x: (300 * (s.from - from)) / memory, width: Math.max((300 * (s.to - s.from)) / memory, 0.6), y: top + 10 - height[s.state], height: height[s.state] };
        for (const key in set) band.setAttribute(key, set[key]);
        return band;
      }),
    );
    this.picture.replaceChildren(...bands);
    this.picture.setAttribute("aria-label", this.#words(rows[0][0], rows[1][0]));
  }

  #words(stream, line) {
    const tell = (spans, state, what) => {
      const those = spans.filter((s) => s.state === state);
      return those.length ? `${what} ${those.length === 1 ? "once" : those.length + " times"}, ${Math.round(those.reduce((sum, s) => sum + s.to - s.from, 0) / 1000)} s in total` : "";
    };
    const told = [tell(stream, "held", "the stream was held"), tell(stream, "ended", "it had ended"), tell(line, "down", "your connection was lost")].filter(Boolean);
    return "The last five minutes: " + (told.join("; ") || "no break");
  }
}
