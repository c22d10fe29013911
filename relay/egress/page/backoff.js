const sustained = 1000; // milliseconds of health after which the attempts are reset

// Redial schedules reconnections. The delay grows with each attempt and is random between zero
// and its maximum, so that viewers do not reconnect at the same moment. It does not dial while
// the browser is offline, and dials at once when the browser is online again or the page becomes
// visible.
export class Redial {
  #tries = 0;
  #timer = 0;
  #wanted = false; // a dial is scheduled
  #better = 0; // time since which the connection is healthy
  #notBefore = 0; // earliest time that the relay allows
  #listening = new AbortController();

  constructor(dial, { base = 500, most = 15000 } = {}) {
    Object.assign(this, { dial, base, most });
    const { signal } = this.#listening;
    addEventListener("online", () => this.#due(0), { signal });
    addEventListener("offline", () => clearTimeout(this.#timer), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#due(0), { signal });
  }

  // again dials after a delay of at least the given milliseconds.
  again(least = 0) {
    if (this.#better && performance.now() - this.#better > sustained) this.#tries = 0;
    this.#better = 0;
    this.#wanted = true;
    this.#notBefore = performance.now() + least;
    this.#due(least + Math.random() * Math.min(this.base * 2 ** Math.min(this.#tries++, 16), this.most));
  }

  // now dials without delay.
  now() {
    this.#wanted = true;
    this.#notBefore = 0;
    this.#due(0);
  }

  // good reports that the connection is healthy. The attempts are reset when it stays so for a
  // while.
  good() {
    this.#better ||= performance.now();
    this.cancel();
  }

  cancel() {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  close() {
    this.cancel();
    this.#listening.abort();
  }

  #due(wait) {
    if (!this.#wanted) return;
    clearTimeout(this.#timer);
    if (!navigator.onLine) return;
    this.#timer = setTimeout(() => {
      this.#wanted = false;
      this.dial();
    }, Math.max(wait, this.#notBefore - performance.now()));
  }
}
