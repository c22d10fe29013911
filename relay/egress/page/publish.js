import { Peer } from "./peer.js";
import { $, notice, say } from "./view.js";

// Publisher sends what this browser has, by WHIP.
export class Publisher {
  kind = "whip";
  #peer;
  #local;
  #closed = false;

  constructor({ base, video, ended }) {
    Object.assign(this, { base, video, ended, notice });
  }

  get secret() {
    return $("key").value || new URLSearchParams(location.search).get("key");
  }

  async start(source) {
    try {
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      this.#local = source === "screen"
        ? await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 }, audio: true })
        : await navigator.mediaDevices.getUserMedia({ audio, video: source === "camera" && { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } } });
    } catch (e) {
      if (this.#closed) return;
      return this.refused(navigator.mediaDevices ? e.message : "a browser gives camera and microphone to pages over HTTPS, or from localhost, alone");
    }
    if (this.#closed) return this.close(); // while the browser asked for leave
    this.video.srcObject = this.#local;
    this.video.muted = true;
    this.video.play().catch(() => {});
    for (const t of this.#local.getTracks()) t.onended = () => this.ended("stopped", "the source has ended");
    this.#peer = new Peer("whip", this, (pc) => {
      for (const t of this.#local.getTracks()) pc.addTransceiver(t, { direction: "sendonly", streams: [this.#local] });
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

  close() {
    this.#closed = true;
    this.#peer?.close();
    for (const t of this.#local?.getTracks() ?? []) t.stop();
    if (this.video.srcObject === this.#local) this.video.srcObject = null;
  }
}
