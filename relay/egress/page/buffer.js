const least = 0.7; // minimum distance from the live edge, in seconds
const keep = 30; // seconds kept behind the playback position
const most = 2000; // maximum number of pieces that wait to be appended
const far = 6; // delay in seconds from which a jump is better than faster playback

// Media is this browser's kind of Media Source; some phones have only the managed one.
export const Media = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

// Buffer plays fragments close to the live edge. It plays slightly faster when it is late, and
// jumps when it is far too late, but only forward: no frame is shown twice. It calls fail for
// media that cannot be played.
export class Buffer {
  #queue = [];
  #media;
  #source;
  #type;
  #init; // last init section
  #target = least; // target distance from the live edge, in seconds
  #begun = false;
  #closed = false;
  #listening = new AbortController();
  jumps = 0;
  stalls = 0;

  constructor(video, fail) {
    Object.assign(this, { video, fail });
    const { signal } = this.#listening;
    video.addEventListener("waiting", () => this.#stall(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.follow(true), { signal });
    video.addEventListener("play", () => this.follow(true), { signal });
  }

  // codecs sets the codecs of the following media, and returns whether this browser supports them.
  codecs(codecs) {
    const type = `video/mp4; codecs="${codecs}"`;
    if (!Media?.isTypeSupported(type)) return false;
    this.#queue.push({ type });
    this.#pump();
    return true;
  }

  put(data) {
    this.#queue.push({ data });
    this.#pump();
    if (this.#queue.length > most) this.#broken("the browser takes no media");
  }

  // renew expects the following media on another clock. The last frame stays until then.
  renew() {
    this.#queue.push({ renew: true });
    this.#pump();
  }

  // range returns the buffered range with the newest media.
  range() {
    const b = this.#source && this.#media.readyState === "open" ? this.#source.buffered : [];
    return b.length ? { start: b.start(b.length - 1), end: b.end(b.length - 1), ranges: b.length } : undefined;
  }

  // behind returns how many seconds the playback position is behind the newest media.
  get behind() {
    const r = this.range();
    return r && r.end - this.video.currentTime;
  }

  // rests returns whether playback is paused by the viewer, or by the browser for the viewer.
  get rests() {
    return document.hidden || (this.#begun && this.video.paused);
  }

  #open(type) {
    this.#type = type;
    this.#source = undefined;
    const media = (this.#media = new Media());
    const { video } = this;
    if (video.src) URL.revokeObjectURL(video.src);
    video.disableRemotePlayback = true; // required by the managed kind
    video.srcObject = null;
    video.src = URL.createObjectURL(media);
    media.addEventListener("sourceopen", () => {
      if (media !== this.#media || this.#source) return;
      try {
        this.#source = media.addSourceBuffer(this.#type);
      } catch (e) {
        return this.#broken(e.message);
      }
      this.#source.addEventListener("updateend", () => this.#pump());
      this.#pump();
    });
    this.#begun = false;
  }

  #pump() {
    while (!this.#closed && this.#queue.length) {
      const { type, renew, data } = this.#queue[0];
      if (this.#media && !this.#source) return; // it is opening
      if (this.#source?.updating) return;
      if (!this.#media && !type) return;
      if (this.video.error) return this.#broken(this.video.error.message);
      try {
        if (type) {
          if (!this.#media) this.#open(type);
          else if (tracks(type) !== tracks(this.#type)) this.#anew(type); // a buffer cannot change the number of tracks
          else if (type !== this.#type) this.#source.changeType((this.#type = type));
        } else if (renew) {
          this.#anew(this.#type);
          if (this.#init) this.#queue.splice(1, 0, { data: this.#init });
        } else {
          if (this.#trim()) return;
          if (initial(data)) this.#init = data;
          this.#source.appendBuffer(data);
        }
        this.#queue.shift();
      } catch (e) {
        return this.#full(e) || this.#broken(e.message);
      }
    }
    this.follow();
  }

  #anew(type) {
    this.#still();
    this.#open(type);
  }

  // trim removes old media, and media beyond the limit while the viewer has paused.
  #trim() {
    const b = this.#source.buffered;
    if (!b.length) return false;
    const { currentTime, paused } = this.video;
    const until = paused ? Math.max(currentTime, b.end(b.length - 1) - keep) : currentTime - keep;
    if (b.start(0) > until - 10) return false;
    this.#source.remove(0, until);
    return true;
  }

  #full(e) {
    const b = this.#source?.buffered;
    if (e.name !== "QuotaExceededError" || !b?.length || b.start(0) >= this.video.currentTime - 1) return false;
    this.#source.remove(0, this.video.currentTime - 1);
    return true;
  }

  #broken(why) {
    this.#queue = [];
    this.fail(why);
  }

  // still keeps the last frame until the next one is shown.
  #still() {
    const { video } = this, canvas = document.createElement("canvas");
    if (!video.videoWidth) return;
    Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    video.poster = canvas.toDataURL("image/jpeg", 0.8);
  }

  // stall increases the target distance, because the connection needs more buffer.
  #stall() {
    const late = this.behind;
    if (!this.#begun || late === undefined || late > 0.3) return;
    this.stalls++;
    this.#target = Math.min(this.#target * 1.3, 3);
  }

  // relax reduces the target distance again, little by little.
  relax() {
    this.#target = Math.max(least, this.#target * 0.98);
  }

  // follow stays close to the live edge, and steps over gaps. When urgent, it jumps sooner.
  follow(hurried = false) {
    const r = this.range(), { video } = this;
    if (!r || this.#closed) return;
    if (!this.#begun) {
      this.#begun = true;
      video.currentTime = Math.max(r.start, r.end - this.#target);
      video.play().catch(() => {}); // autoplay is blocked: the viewer has to start it
      return;
    }
    if (video.paused) return;
    const over = r.end - video.currentTime - this.#target;
    // A seek to a position just before a gap never ends.
    if (video.currentTime < r.start && this.#dry(video.seeking ? 0.5 : 0.1)) this.#jump(r.start + 0.001);
    else if (video.seeking) return;
    else if (over > (hurried ? 1 : far)) this.#jump(Math.max(r.start, r.end - this.#target));
    const rate = over > 2 ? 1.1 : over > 0.3 || (video.playbackRate > 1 && over > 0) ? 1.05 : 1;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  // dry returns whether less than the given seconds are buffered ahead.
  #dry(seconds) {
    const b = this.#source.buffered, at = this.video.currentTime;
    for (let i = 0; i < b.length; i++) if (b.start(i) <= at && b.end(i) > at + seconds) return false;
    return true;
  }

  #jump(to) {
    if (to <= this.video.currentTime) return;
    this.jumps++;
    this.video.currentTime = to;
  }

  close() {
    this.#closed = true;
    this.#listening.abort();
    const { video } = this;
    video.playbackRate = 1;
    if (video.src) URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
    video.load();
  }
}

// tracks returns the number of tracks of a type.
function tracks(type) {
  return type.split(",").length;
}

// initial returns whether a piece of MP4 is an init section, which begins with ftyp.
export function initial(data) {
  return data.byteLength > 8 && new DataView(data).getUint32(4) === 0x66747970;
}
