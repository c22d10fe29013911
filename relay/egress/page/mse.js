import { Redial } from "./backoff.js";
import { Buffer, Media, initial } from "./buffer.js";

const beat = 3000; // milliseconds without data after which the page sends a ping
const sound = 60_000; // milliseconds without a fault after which earlier faults do not count
const still = 3; // beats without progress that count as a fault
const missed = 3; // beats after which a connection is dead

// Mse plays by Media Source over a WebSocket. It acknowledges chunks; unacknowledged ones are
// sent again on the next connection, so that playback continues without a gap.
export class Mse {
  kind = "mse";
  stats = { dials: 0, messages: 0, repeated: 0, missing: 0, dead: 0, exact: 0, keyframe: 0 };
  #redial = new Redial(() => this.#dial());
  #buffer;
  #socket;
  #session; // a secret
  #last; // number of the last chunk
  #zero; // time of day at which the media's clock is 0
  #off = 0; // offset of the relay's clock from this browser's
  #quiet = 0; // beats without data
  #vain = 0; // failed dials
  #faults = 0;
  #faulted = 0; // time of the last fault
  #before = {}; // playback state at the last beat
  #stands = 0; // beats in which media arrived without playback progress
  #ticking = setInterval(() => this.#tick(), beat);
  #listening = new AbortController();

  constructor(host) {
    this.host = host;
    if (!Media) return void queueMicrotask(() => host.otherwise("this browser has no Media Source"));
    this.#buffer = this.#make();
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake(), { signal: this.#listening.signal });
    this.#dial();
  }

  #make() {
    return new Buffer(this.host.video, (why) => this.#fault(why));
  }

  #dial() {
    this.#drop();
    const at = new URL(this.host.url("mse"));
    at.protocol = at.protocol.replace("http", "ws");
    const resumes = this.#session && this.#last !== undefined;
    if (resumes) {
      at.searchParams.set("resume", this.#session);
      at.searchParams.set("after", this.#last);
    }
    this.stats.dials++;
    this.#quiet = 0;
    const socket = (this.#socket = new WebSocket(at));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#vain = 0;
      this.#ping();
    };
    socket.onmessage = ({ data }) => {
      this.#quiet = 0;
      if (typeof data === "string") this.#told(JSON.parse(data));
      else this.#take(data);
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason, resumes);
  }

  #told({ session, resume, codecs, clock, pong, now, unsupported, ...report }) {
    if (session) {
      this.#session = session;
      if (resume in this.stats) this.stats[resume]++;
    }
    if (unsupported || (codecs && !this.#buffer.codecs(codecs))) return this.host.unsupported(`${unsupported ?? codecs} cannot be played in this browser`);
    if (pong) this.#off = Date.parse(now) - (pong + Date.now()) / 2;
    if (clock) this.#date(clock);
    if (report.state) this.host.report({ ...report, now });
  }

  // date sets the media's clock. Another stream of the same name, or a restarted relay, has
  // another clock.
  #date({ media, wall }) {
    const zero = Date.parse(wall) - 1000 * media;
    if (this.#zero !== undefined && Math.abs(zero - this.#zero) > 5000) this.#buffer.renew();
    this.#zero = zero;
  }

  // take appends a new chunk and acknowledges it.
  #take(data) {
    const seq = Number(new DataView(data).getBigUint64(0)), piece = data.slice(8);
    this.stats.messages++;
    this.#socket.send(JSON.stringify({ ack: seq }));
    if (!initial(piece) && this.#last !== undefined) {
      if (seq <= this.#last) return void this.stats.repeated++;
      this.stats.missing += seq - this.#last - 1;
    }
    this.#last = seq;
    this.#redial.good();
    this.host.line("up");
    this.#buffer.put(piece);
  }

  // lost handles the close code of a connection.
  #lost(code, reason, resumed) {
    this.#drop();
    const wait = 1000 * (parseFloat(reason) || 2);
    switch (code) {
      case 4000:
        this.#forget();
        this.host.line("ended");
        return this.#redial.again(3000);
      case 4001:
        this.#forget();
        this.host.line("absent");
        return this.#redial.again(wait);
      case 4002:
        if (!resumed) return this.host.refused(reason || "the relay does not let this viewer in");
        this.#forget(); // the session may have ended; the play token in the URL may still be valid
        return this.#redial.now();
      case 1013:
        this.host.line("down", "the relay is busy");
        return this.#redial.again(wait);
    }
    this.host.line("down");
    this.#redial.again();
    if (++this.#vain >= 3) this.host.blocked("no WebSocket comes about");
  }

  #forget() {
    this.#session = this.#last = undefined;
  }

  // fault restarts playback, and switches to another protocol if that does not help.
  #fault(why) {
    this.#forget();
    this.#zero = undefined;
    this.#buffer.close();
    const now = performance.now();
    if (now - this.#faulted > sound) this.#faults = 0;
    this.#faulted = now;
    if (!document.hidden && ++this.#faults > 3) return this.host.otherwise(why);
    this.#buffer = this.#make();
    this.#drop();
    this.#redial.again();
  }

  #tick() {
    this.#buffer?.relax();
    this.#buffer?.follow();
    if (!this.#socket) return;
    this.#watch();
    if (++this.#quiet > missed) {
      this.stats.dead++;
      this.#lost(0, "");
    } else this.#ping();
  }

  // watch restarts playback if media arrives without progress: one of two tracks may be missing,
  // or the decoder may hang.
  #watch() {
    const now = { at: this.host.video.currentTime, messages: this.stats.messages }, was = this.#before;
    this.#before = now;
    if (now.at !== was.at || now.messages === was.messages || this.#buffer.rests) this.#stands = 0;
    else if (++this.#stands >= still) {
      this.#stands = 0;
      this.#fault("the picture stands");
    }
  }

  // wake checks at once whether the connection has survived a sleep.
  #wake() {
    if (this.#quiet > 1) this.#quiet = missed;
    this.#ping();
  }

  #ping() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ ping: Date.now() }));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  now() {
    this.#redial.now();
  }

  facts() {
    const { videoWidth, videoHeight, currentTime } = this.host.video;
    const range = this.#buffer?.range();
    if (!range) return {};
    const latency = this.#zero === undefined ? this.#buffer.behind : (Date.now() + this.#off - this.#zero) / 1000 - currentTime;
    return { latency, words: [videoWidth && `${videoWidth}×${videoHeight}`], ...this.stats, jumps: this.#buffer.jumps, stalls: this.#buffer.stalls, behind: this.#buffer.behind, ranges: range.ranges };
  }

  close() {
    clearInterval(this.#ticking);
    this.#listening.abort();
    this.#redial.close();
    this.#drop();
    this.#buffer?.close();
  }
}
