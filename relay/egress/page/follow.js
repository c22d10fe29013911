import { Redial } from "./backoff.js";

const silent = 40_000; // milliseconds without data after which the connection is dead: the relay sends something every 15 s

// Follow reads the state of the stream from the relay, if the playback protocol does not
// transmit it. It parses server-sent events itself, because EventSource hides why a request was
// rejected, and reconnects in vain.
export class Follow {
  #cut;
  #redial = new Redial(() => this.#open(), { base: 1000 });

  constructor(host) {
    this.host = host;
    this.#open();
  }

  async #open() {
    const cut = (this.#cut = new AbortController());
    let least = 0;
    try {
      const answer = await fetch(this.host.url("state"), { headers: { Accept: "text/event-stream" }, signal: cut.signal, cache: "no-store" });
      if (answer.status === 401) return; // the play token has expired, which the playback protocol handles
      least = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
      if (answer.ok) await this.#read(answer.body.pipeThrough(new TextDecoderStream()));
    } catch { /* the line is away */ }
    if (!cut.signal.aborted) this.#redial.again(least);
  }

  async #read(stream) {
    let text = "";
    for (const reader = stream.getReader(); ; ) {
      const timer = setTimeout(() => reader.cancel().catch(() => {}), silent);
      const { value, done } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      this.#redial.good();
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const e of events) if (e.startsWith("data: ")) this.host.report(JSON.parse(e.slice(6)));
    }
  }

  close() {
    this.#cut.abort();
    this.#redial.close();
  }
}
