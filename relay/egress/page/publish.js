import { Peer } from "./peer.js";
import { forget, lock, save } from "./saved.js";
import { $, notice, say } from "./view.js";

// Publisher publishes by WHIP. It resumes what was published before a reload.
export class Publisher {
  kind = "whip";
  #peer;
  #local;
  #unlock;
  #closed = false;

  constructor({ base, video, ended }) {
    Object.assign(this, { base, video, ended, notice });
  }

  get secret() {
    return $("key").value || new URLSearchParams(location.search).get("key");
  }

  async start(source) {
    await this.#publish(source);
  }

  // resume publishes from the devices that were in use.
  async resume({ source, devices, key }) {
    if (key) $("key").value = key;
    $("source").value = source;
    if (source === "screen") return this.ended("not publishing", "a browser shares a screen only after a click: press Publish to go on");
    await this.#publish(source, devices);
  }

  async #publish(source, devices) {
    const asking = setTimeout(() => this.#closed || say("retry", "connecting", "waiting for the browser's permission to use the source"), 1000);
    const [local, unlock] = await Promise.all([this.#capture(source, devices).catch((e) => e), lock()]);
    clearTimeout(asking);
    if (this.#closed) return release(local, unlock);
    if (!(local instanceof MediaStream)) {
      unlock?.();
      return this.ended("refused", explain(local, devices));
    }
    if (!unlock && devices) {
      release(local);
      forget();
      return this.ended("not publishing", "another tab of this browser publishes this stream");
    }
    this.#unlock = unlock;
    this.#send(local);
    save({ source, key: $("key").value, devices: Object.fromEntries(local.getTracks().map((t) => [t.kind, t.getSettings().deviceId])) });
  }

  async #capture(source, devices) {
    if (!navigator.mediaDevices) throw new Error("browsers allow camera and microphone only over HTTPS or from localhost");
    if (source === "screen") return navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 }, audio: true });
    const same = (kind) => devices?.[kind] && { deviceId: { exact: devices[kind] } };
    return navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, ...same("audio") },
      video: source === "camera" && { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, ...same("video") },
    });
  }

  #send(local) {
    this.#local = local;
    this.video.srcObject = local;
    this.video.muted = true;
    this.video.play().catch(() => {});
    for (const t of local.getTracks()) t.onended = () => {
      this.leave();
      this.ended("stopped", "the source has ended: press Publish to go on");
    };
    this.#peer = new Peer("whip", this, (pc) => {
      for (const t of local.getTracks()) pc.addTransceiver(t, { direction: "sendonly", streams: [local] });
    });
  }

  line(line, detail) {
    if (line === "up") say("live", "publishing");
    else say("retry", "reconnecting", detail);
  }

  refused(why) {
    this.ended("refused", why);
  }

  unsupported(why) {
    this.refused(why);
  }

  otherwise(why) {
    this.refused(why);
  }

  blocked() {}

  facts() {
    return this.#peer?.facts() ?? {};
  }

  // close ends the stream; leave disconnects, so that it can be resumed.
  close() {
    this.#peer?.close();
    this.#release();
  }

  leave() {
    this.#peer?.leave();
    this.#release();
  }

  #release() {
    this.#closed = true;
    release(this.#local, this.#unlock);
    if (this.video.srcObject === this.#local) this.video.srcObject = null;
  }
}

function release(local, unlock) {
  if (local instanceof MediaStream) for (const t of local.getTracks()) t.stop();
  unlock?.();
}

// explain returns a hint for a source that is not available.
function explain(error, resumes) {
  const then = resumes ? "press Publish to go on" : "press Publish again";
  switch (error.name) {
    case "NotAllowedError": return `access to the source is blocked in this browser: allow it, and ${then}`;
    case "NotFoundError":
    case "OverconstrainedError": return resumes ? "the camera or microphone that was in use is not connected: connect it, or press Publish to use another" : "no such source was found";
    case "NotReadableError": return `the source is in use elsewhere: close what uses it, and ${then}`;
  }
  return error.message;
}
