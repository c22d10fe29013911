import { Follow } from "./follow.js";
import { Hls } from "./hls.js";
import { Mse } from "./mse.js";
import { watching } from "./peer.js";

const ways = { mse: (host) => new Mse(host), hls: (host) => new Hls(host), whep: watching };

// Player plays a stream by one protocol after another until one works. It holds the states of
// the stream and of the viewer's connection, and is the host of the protocols.
export class Player {
  #left;
  #way;
  #follow;
  #doubted; // protocol that failed although the relay answered
  #over = false; // the stream was reported as ended or absent
  #closed = false;
  state = { line: "connecting", detail: "", report: undefined, why: "" };

  constructor({ base, video, token, by, changed, notice }) {
    Object.assign(this, { base, video, secret: token, changed, notice });
    this.#left = by === "auto" ? ["mse", "hls", "whep"] : [by];
    this.#next();
  }

  get kind() {
    return this.#way?.kind;
  }

  // url returns a URL of the stream with its play token.
  url(file) {
    const at = new URL(this.base + "/" + file, location.href);
    if (this.secret) at.searchParams.set("token", this.secret);
    return at.href;
  }

  #next() {
    this.#way?.close();
    this.#follow?.close();
    const way = this.#left.shift();
    this.#way = ways[way](this);
    this.#follow = way === "mse" ? undefined : new Follow(this); // the WebSocket transmits the state itself
  }

  // line sets the state of the viewer's connection: up, down, ended or absent.
  line(line, detail = "") {
    if (this.#closed) return;
    if (line === "ended") this.#over = true;
    if (line === "up") {
      this.#over = false;
      this.#doubted = undefined;
    }
    if (line === "absent" && this.#over) line = "ended";
    if (line === "ended" && this.state.report) this.state.report = undefined;
    this.#set({ line, detail });
    if (line === "absent" && this.kind === "mse") this.#ask();
  }

  // ask requests the state of a stream whose connection was refused: after a restart it may be
  // held.
  async #ask() {
    try {
      const answer = await fetch(this.url("state"), { cache: "no-store" });
      const report = answer.ok ? await answer.json() : undefined;
      if (this.state.line === "absent") this.report(report);
    } catch { /* the line is away */ }
  }

  // report handles a report of the relay.
  report(report) {
    if (this.#closed) return;
    if (report?.state === "ended") return this.line("ended");
    this.#set({ report });
  }

  refused(why) {
    this.#end(why);
  }

  // unsupported switches protocols because the browser or the protocol does not support the codec.
  // WebRTC and the browser's own HLS may support others.
  unsupported(why) {
    this.#left.sort((a, b) => (b === "whep") - (a === "whep"));
    this.state.why ||= why;
    this.otherwise(this.state.why);
  }

  // otherwise switches to the next protocol for good.
  otherwise(why) {
    if (this.#closed) return;
    if (this.#left.length) this.#next();
    else this.#end(this.state.why || why);
  }

  // blocked handles a protocol that does not connect. If the relay answers and the next attempt
  // fails as well, the next protocol is tried: a single answer may mark the end of an outage.
  async blocked(why) {
    if (!this.#left.length) return;
    const way = this.#way;
    if (way === this.#doubted) return this.otherwise(why);
    try {
      const answer = await fetch(this.url("state"), { cache: "no-store" });
      if (answer.status >= 500) return; // the relay is down, and a proxy answers
    } catch {
      return; // the connection or the relay is down
    }
    if (way === this.#way) this.#doubted = way;
  }

  #end(why) {
    if (this.#closed) return;
    this.#set({ line: "refused", detail: why });
    this.close();
  }

  #set(change) {
    Object.assign(this.state, change);
    this.changed(this.state);
  }

  now() {
    this.#way.now();
  }

  facts() {
    return this.#closed ? {} : this.#way.facts();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#way.close();
    this.#follow?.close();
  }
}
