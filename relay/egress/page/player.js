import { Follow } from "./follow.js";
import { Hls } from "./hls.js";
import { Mse } from "./mse.js";
import { watching } from "./peer.js";

const ways = { mse: (host) => new Mse(host), hls: (host) => new Hls(host), whep: watching };

// Player watches a stream by one way after the other until one works, and knows how the stream is
// and how the viewer's own line is. It is the host of the ways.
export class Player {
  #left;
  #way;
  #follow;
  #doubted; // the way by which nothing came about while the relay answered
  #over = false; // the stream was seen to end, or to be gone
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

  // url is an address of the stream, with its play token.
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
    this.#follow = way === "mse" ? undefined : new Follow(this); // the socket tells by itself
  }

  // line is what a way says of the viewer's own line: up, down, ended or absent.
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

  // ask asks the relay how a stream is whose socket it refuses: after a restart it may be held.
  async #ask() {
    try {
      const answer = await fetch(this.url("state"), { cache: "no-store" });
      const report = answer.ok ? await answer.json() : undefined;
      if (this.state.line === "absent") this.report(report);
    } catch { /* the line is away */ }
  }

  // report is what the relay says of the stream.
  report(report) {
    if (this.#closed) return;
    if (report?.state === "ended") return this.line("ended");
    this.#set({ report });
  }

  refused(why) {
    this.#end(why);
  }

  // unsupported: this browser, or the way, does not have the codec. WebRTC may have what no file
  // has, and the browser's own HLS what no script has.
  unsupported(why) {
    this.#left.sort((a, b) => (b === "whep") - (a === "whep"));
    this.state.why ||= why;
    this.otherwise(this.state.why);
  }

  // otherwise goes on by the next way, for good.
  otherwise(why) {
    if (this.#closed) return;
    if (this.#left.length) this.#next();
    else this.#end(this.state.why || why);
  }

  // blocked: nothing comes about by this way. Where the relay answers, and the next try is in vain
  // all the same, another may do: an answer alone may have come with the end of an outage.
  async blocked(why) {
    if (!this.#left.length) return;
    const way = this.#way;
    if (way === this.#doubted) return this.otherwise(why);
    try {
      const answer = await fetch(this.url("state"), { cache: "no-store" });
      if (answer.status >= 500) return; // the relay is away, and a proxy says so
    } catch {
      return; // it is the line, or the relay
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
