const least = 0.7; // seconds before the end, nearer to which nothing is played
const keep = 30; // seconds that stay behind the picture shown
const most = 2000; // pieces that wait at the most for the browser to take them
const far = 6; // seconds too late, from which on to jump is better than to hurry

// Media is the kind of Media Source that this browser has; on phones of one make the managed.
export const Media = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

// Buffer plays fragments near to their end. It hurries a little where it is late, and jumps where
// it is far too late, and then forwards alone: no picture is shown twice. What cannot be played
// at all it says by fail.
export class Buffer {
  #queue = [];
  #media;
  #source;
  #type;
  #init; // the last init section
  #target = least; // seconds before the end, at which to play
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

  // codecs has what is put from now on be in these, and tells whether this browser plays them.
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

  // renew has what follows be on another clock. The picture stays until there is another.
  renew() {
    this.#queue.push({ renew: true });
    this.#pump();
  }

  // range is where the newest media is without a gap.
  range() {
    const b = this.#source && this.#media.readyState === "open" ? this.#source.buffered : [];
    return b.length ? { start: b.start(b.length - 1), end: b.end(b.length - 1), ranges: b.length } : undefined;
  }

  // behind is how many seconds there are between the picture and the newest media.
  get behind() {
    const r = this.range();
    return r && r.end - this.video.currentTime;
  }

  // rests tells whether the picture stands because the viewer, or the browser for them, wants it so.
  get rests() {
    return document.hidden || (this.#begun && this.video.paused);
  }

  #open(type) {
    this.#type = type;
    this.#source = undefined;
    const media = (this.#media = new Media());
    const { video } = this;
    if (video.src) URL.revokeObjectURL(video.src);
    video.disableRemotePlayback = true; // the managed kind wants it
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
      if (this.#media && !this.#source) return; // it is about to open
      if (this.#source?.updating) return;
      if (!this.#media && !type) return;
      if (this.video.error) return this.#broken(this.video.error.message);
      try {
        if (type) {
          if (!this.#media) this.#open(type);
          else if (tracks(type) !== tracks(this.#type)) this.#anew(type); // no buffer takes another number
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

  // trim removes what was shown long ago and, while the viewer has paused, what is too much.
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

  // still keeps the last picture in the place of the next.
  #still() {
    const { video } = this, canvas = document.createElement("canvas");
    if (!video.videoWidth) return;
    Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    video.poster = canvas.toDataURL("image/jpeg", 0.8);
  }

  // stall has there be more in store, where the line needs it.
  #stall() {
    const late = this.behind;
    if (!this.#begun || late === undefined || late > 0.3) return;
    this.stalls++;
    this.#target = Math.min(this.#target * 1.3, 3);
  }

  // relax has there be less in store again, little by little, where that was enough.
  relax() {
    this.#target = Math.max(least, this.#target * 0.98);
  }

  // follow keeps near to what is live, and steps over what never came. Hurried, it jumps sooner.
  follow(hurried = false) {
    const r = this.range(), { video } = this;
    if (!r || this.#closed) return;
    if (!this.#begun) {
      this.#begun = true;
      video.currentTime = Math.max(r.start, r.end - this.#target);
      video.play().catch(() => {}); // the viewer has to ask for it
      return;
    }
    if (video.paused) return;
    const over = r.end - video.currentTime - this.#target;
    // A seek to where little came before a gap never ends.
    if (video.currentTime < r.start && this.#dry(video.seeking ? 0.5 : 0.1)) this.#jump(r.start + 0.001);
    else if (video.seeking) return;
    else if (over > (hurried ? 1 : far)) this.#jump(Math.max(r.start, r.end - this.#target));
    const rate = over > 2 ? 1.1 : over > 0.3 || (video.playbackRate > 1 && over > 0) ? 1.05 : 1;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  // dry tells whether less than so many seconds follow the picture that is shown.
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

// tracks is how many tracks a type has.
function tracks(type) {
  return type.split(",").length;
}

// initial tells whether a piece of MP4 is an init section, which begins with the type of the file.
export function initial(data) {
  return data.byteLength > 8 && new DataView(data).getUint32(4) === 0x66747970;
}
