import { Redial } from "./backoff.js";
import { sentences } from "./words.js";

const patience = 20_000; // milliseconds for which the browser may reject the media: a new stream has too little
const stuck = 8; // seconds without progress after which playback restarts

// Hls uses the browser's own HLS, and restarts it when it gives up.
export class Hls {
  kind = "hls";
  stats = { loads: 0 };
  #redial = new Redial(() => this.#load(), { base: 1000 });
  #at = 0;
  #vain = 0; // time since which the browser rejects the media
  #since = performance.now(); // time of the last progress
  #listening = new AbortController();
  #ticking = setInterval(() => this.#tick(), 1000);

  constructor(host) {
    this.host = host;
    const { video } = host, { signal } = this.#listening;
    if (!video.canPlayType("application/vnd.apple.mpegurl")) return void queueMicrotask(() => host.otherwise("this browser has no HLS of its own"));
    video.srcObject = null;
    video.src = host.url("index.m3u8");
    video.addEventListener("error", () => this.#lost(video.error), { signal });
    this.#load();
  }

  #load() {
    const { video } = this.host;
    if (this.stats.loads++) video.load();
    this.#since = performance.now();
    video.play().catch(() => {}); // autoplay is blocked: the viewer has to start it
  }

  // lost asks the relay for the reason, which the browser does not report.
  async #lost(error) {
    let status = 0;
    try {
      const answer = await fetch(this.host.url("index.m3u8"), { cache: "no-store" });
      status = answer.status;
      const why = answer.ok ? {} : await answer.json();
      if (this.#listening.signal.aborted) return;
      if (status === 401 || status === 403) return this.host.refused(sentences(why));
      if (status === 406) return this.host.unsupported(`${why.error}: ${why.hint}`);
    } catch { /* the line is away, or these are not the relay's own words */ }
    if (this.#listening.signal.aborted) return;
    if (status !== 200) this.#vain = 0;
    else this.#vain ||= performance.now();
    if (this.#vain && error?.code >= 3 && performance.now() - this.#vain > patience && !this.#at) return this.host.unsupported(error.message);
    this.host.line(status === 404 ? "absent" : "down");
    this.#redial.again(status === 404 ? 2000 : 0);
  }

  #tick() {
    const { video } = this.host, now = performance.now();
    if (video.currentTime !== this.#at) {
      this.#at = video.currentTime;
      this.#since = now;
      this.#redial.good();
      this.host.line("up");
    } else if (!video.paused && !video.error && now - this.#since > 1000 * stuck) {
      this.#since = now;
      this.#lost();
    }
  }

  now() {
    this.#redial.now();
  }

  facts() {
    const { videoWidth, videoHeight, currentTime, seekable } = this.host.video;
    const date = this.host.video.getStartDate?.().getTime();
    const end = seekable.length ? seekable.end(seekable.length - 1) : undefined;
    const latency = date > 0 ? Date.now() / 1000 - date / 1000 - currentTime : end && Number.isFinite(end) ? end - currentTime : undefined;
    return { latency, words: [videoWidth && `${videoWidth}×${videoHeight}`], ...this.stats };
  }

  close() {
    clearInterval(this.#ticking);
    this.#listening.abort();
    this.#redial.close();
    const { video } = this.host;
    video.removeAttribute("src");
    video.load();
  }
}
