import { Redial } from "./backoff.js";
import { Buffer, Media, initial } from "./buffer.js";

const beat = 3000; // milliseconds without a word, after which one is asked for
const sound = 60_000; // milliseconds without a fault, after which those before do not count
const still = 3; // beats, after which a picture that stands is a fault
const missed = 3; // beats after which a socket is dead

// Mse plays by Media Source over a WebSocket. What comes is acknowledged, and what was not comes
// again on the next socket: the picture goes on where it was.
export class Mse {
  kind = "mse";
  stats = { dials: 0, messages: 0, repeated: 0, missing: 0, dead: 0, exact: 0, keyframe: 0 };
  #redial = new Redial(() => this.#dial());
  #buffer;
  #socket;
  #session; // a secret
  #last; // sequence of the last message
  #zero; // the time of day at which the media's clock is 0
  #off = 0; // how far the relay's clock is ahead of this browser's
  #quiet = 0; // beats without a word
  #vain = 0; // dials that came to nothing
  #faults = 0;
  #faulted = 0; // when the last fault was
  #before = {}; // how the picture was at the last beat
  #stands = 0; // beats for which media came and the picture stood
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

  // date tells the media's clock. Another stream of the same name, or a relay that was started
  // anew, has another one.
  #date({ media, wall }) {
    const zero = Date.parse(wall) - 1000 * media;
    if (this.#zero !== undefined && Math.abs(zero - this.#zero) > 5000) this.#buffer.renew();
    this.#zero = zero;
  }

  // take keeps a piece that was not had before, and acknowledges it: it will be played.
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

  // lost tells by its code what the end of a socket means.
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
        this.#forget(); // the session may be over; the play token of the address may be good yet
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

  // fault begins afresh where the browser could not go on; where that does not help, by another way.
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

  // watch begins afresh where media comes and the picture stands all the same: of one of two
  // tracks nothing may come, or the decoder hangs.
  #watch() {
    const now = { at: this.host.video.currentTime, messages: this.stats.messages }, was = this.#before;
    this.#before = now;
    if (now.at !== was.at || now.messages === was.messages || this.#buffer.rests) this.#stands = 0;
    else if (++this.#stands >= still) {
      this.#stands = 0;
      this.#fault("the picture stands");
    }
  }

  // wake asks at once whether the socket has outlived a sleep.
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
