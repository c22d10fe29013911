import { Redial } from "./backoff.js";
import { sentences } from "./words.js";

// Peer is a WHEP or WHIP session: an offer by POST, an ICE restart by PATCH when the network
// changes, a new offer if that does not help, and DELETE at the end. A publisher's DELETE ends
// the stream, so only close sends it. prepare adds the tracks to each new connection.
export class Peer {
  stats = { dials: 0, restarts: 0 };
  #redial = new Redial(() => this.#open(), { most: 10000 });
  #pc;
  #at; // URL of the session
  #tag;
  #vain = 0; // answers without a connection
  #ended = false; // close was called
  #timer = 0;
  #before = {};
  #numbers = {};
  #ticking = setInterval(() => this.#measure(), 1000);
  #listening = new AbortController();

  constructor(kind, host, prepare) {
    Object.assign(this, { kind, host, prepare });
    if (!globalThis.RTCPeerConnection) return void queueMicrotask(() => host.otherwise("this browser has no WebRTC"));
    addEventListener("online", () => this.#pc && !this.#connected() && this.#redial.now(), { signal: this.#listening.signal });
    this.#open();
  }

  #connected() {
    return this.#pc?.connectionState === "connected";
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#drop(this.kind === "whep");
    this.stats.dials++;
    const pc = (this.#pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" }));
    pc.onconnectionstatechange = () => pc === this.#pc && this.#follow(pc.connectionState);
    try {
      await this.prepare(pc);
      await pc.setLocalDescription();
      const { secret } = this.host;
      const answer = await fetch(this.host.base + "/" + this.kind, {
        method: "POST", body: pc.localDescription.sdp,
        headers: { "Content-Type": "application/sdp", ...(secret && { Authorization: "Bearer " + secret }) },
      });
      const text = await answer.text();
      if (pc !== this.#pc) return void ((this.kind === "whep" || this.#ended) && end(answer));
      if (answer.status !== 201) return this.#refused(answer, text);
      this.#at = new URL(answer.headers.get("Location"), location.href);
      this.#tag = answer.headers.get("ETag");
      this.host.notice(answer.headers.get("Holdfast-Notice"));
      await pc.setRemoteDescription({ type: "answer", sdp: text });
      this.#timer = setTimeout(() => this.#connected() || this.#unconnected(), 8000);
    } catch (e) {
      if (pc !== this.#pc) return;
      if (e.name === "NotAllowedError" || e.name === "NotFoundError") return this.host.refused(e.message);
      this.#again("down", e.message);
    }
  }

  // unconnected handles an answer without a connection. Some networks block UDP.
  #unconnected() {
    if (++this.#vain >= 2) this.host.blocked("no connection by WebRTC comes about");
    this.#again("down", "no connection came about");
  }

  #refused(answer, text) {
    let why = { error: answer.statusText };
    try { why = JSON.parse(text); } catch { /* not the relay's own words */ }
    if (answer.status === 422) return this.host.unsupported(why.error);
    if (why.error === "WebRTC is off") return this.host.otherwise(why.error);
    if ([400, 401, 403, 404, 415].includes(answer.status)) return this.host.refused(sentences(why));
    this.#again(answer.status === 409 && this.kind === "whep" ? "absent" : "down", why.error, 1000 * (Number(answer.headers.get("Retry-After")) || 0));
  }

  #follow(state) {
    if (state === "connected") {
      clearTimeout(this.#timer);
      this.#vain = 0;
      this.#redial.good();
      this.host.line("up");
    } else if (state === "disconnected") {
      this.host.line("down", "the network has changed or is away");
      this.#timer = setTimeout(() => this.#restart(), 500);
    } else if (state === "failed" || state === "closed") this.#again("down");
  }

  // restart restarts ICE in the same session, which keeps its tracks and keys.
  async #restart() {
    const pc = this.#pc;
    if (!pc || this.#connected() || !this.#tag || !navigator.onLine) return;
    try {
      this.stats.restarts++;
      pc.restartIce();
      const offer = await pc.createOffer({ iceRestart: true });
      await pc.setLocalDescription(offer);
      const pick = (sdp, name) => sdp.match(new RegExp(`a=${name}:(.*)`))[1].trim();
      const answer = await fetch(this.#at, {
        method: "PATCH", headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
        body: `a=ice-ufrag:${pick(offer.sdp, "ice-ufrag")}\r\na=ice-pwd:${pick(offer.sdp, "ice-pwd")}\r\n`,
      });
      if (answer.status !== 200) throw new Error("the session is over");
      this.#tag = answer.headers.get("ETag");
      const frag = await answer.text();
      const was = pc.currentRemoteDescription.sdp.replace(/a=(candidate|end-of-candidates).*\r\n/g, "");
      await pc.setRemoteDescription({ type: "answer", sdp: was
        .replace(/a=ice-ufrag:.*/g, "a=ice-ufrag:" + pick(frag, "ice-ufrag"))
        .replace(/a=ice-pwd:.*/g, "a=ice-pwd:" + pick(frag, "ice-pwd")) });
      for (const c of frag.match(/candidate:.*/g) ?? []) await pc.addIceCandidate({ candidate: c.trim(), sdpMLineIndex: 0 });
      this.#timer = setTimeout(() => this.#connected() || this.#again("down"), 5000);
    } catch {
      if (pc === this.#pc) this.#again("down");
    }
  }

  #again(line, detail, least = 0) {
    clearTimeout(this.#timer);
    this.host.line(line, detail);
    this.#redial.again(least);
  }

  async #measure() {
    const pc = this.#pc, now = { bytes: 0 };
    if (!this.#connected()) return void (this.#numbers = {});
    let held = 0, out = 0;
    for (const s of (await pc.getStats()).values()) {
      if (s.type === "inbound-rtp" || s.type === "outbound-rtp") {
        now.bytes += s.bytesReceived ?? s.bytesSent ?? 0;
        now.at = s.timestamp;
        if (s.kind === "video") {
          Object.assign(now, { fps: s.framesPerSecond, width: s.frameWidth, height: s.frameHeight });
          held = s.jitterBufferDelay ?? 0;
          out = s.jitterBufferEmittedCount ?? 0;
        }
      }
      if (s.type === "candidate-pair" && s.nominated && s.state === "succeeded") now.rtt = s.currentRoundTripTime;
    }
    const kbps = (8 * (now.bytes - this.#before.bytes)) / (now.at - this.#before.at);
    const waits = out > this.#before.out ? (held - this.#before.held) / (out - this.#before.out) : undefined;
    this.#before = { ...now, held, out };
    this.#numbers = {
      latency: this.kind === "whep" && waits !== undefined ? waits + (now.rtt ?? 0) : undefined,
      words: [now.width && `${now.width}×${now.height}`, now.fps && `${Math.round(now.fps)} fps`, kbps > 0 && `${Math.round(kbps)} kb/s`,
        now.rtt !== undefined && `${Math.round(1000 * now.rtt)} ms round trip`],
    };
  }

  now() {
    this.#redial.now();
  }

  facts() {
    return { ...this.#numbers, ...this.stats };
  }

  // drop closes the connection, after a DELETE if the session is to end. Without it the relay
  // detects a break.
  #drop(ends) {
    const pc = this.#pc, at = this.#at;
    this.#pc = this.#at = this.#tag = undefined;
    if (!pc) return;
    pc.onconnectionstatechange = null;
    if (!at || !ends) return pc.close();
    fetch(at, { method: "DELETE", keepalive: true }).catch(() => {}).finally(() => pc.close());
  }

  #stop(ends) {
    this.#ended ||= ends;
    clearInterval(this.#ticking);
    clearTimeout(this.#timer);
    this.#listening.abort();
    this.#redial.close();
    this.#drop(ends);
  }

  // close ends the session.
  close() {
    this.#stop(true);
  }

  // leave disconnects without ending the session: a publisher returns to its stream.
  leave() {
    this.#stop(false);
  }
}

// end deletes a session that is no longer needed.
function end(answer) {
  const at = answer.status === 201 && answer.headers.get("Location");
  if (at) fetch(new URL(at, location.href), { method: "DELETE", keepalive: true }).catch(() => {});
}

// watching returns a Peer that plays. The last frame stays until the next session has one.
export function watching(host) {
  const { video } = host;
  return new Peer("whep", host, (pc) => {
    const stream = new MediaStream();
    for (const kind of ["video", "audio"]) pc.addTransceiver(kind, { direction: "recvonly" });
    pc.ontrack = ({ track }) => {
      stream.addTrack(track);
      track.onunmute = () => {
        if (video.srcObject === stream) return;
        video.removeAttribute("src");
        video.srcObject = stream;
        video.play().catch(() => {}); // autoplay is blocked: the viewer has to start it
      };
    };
  });
}
