const sustained = 1000; // milliseconds of health, after which the tries count from the first

// Redial says when to dial again: after a while that grows from try to try and is drawn anew each
// time between nothing and its most, so that nobody comes at the same moment as everybody else;
// never while the browser is offline; and at once when it is online again, or the page is looked
// at again.
export class Redial {
  #tries = 0;
  #timer = 0;
  #wanted = false; // a dial is due
  #better = 0; // since when there is nothing to try
  #notBefore = 0; // the relay has asked for that
  #listening = new AbortController();

  constructor(dial, { base = 500, most = 15000 } = {}) {
    Object.assign(this, { dial, base, most });
    const { signal } = this.#listening;
    addEventListener("online", () => this.#due(0), { signal });
    addEventListener("offline", () => clearTimeout(this.#timer), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#due(0), { signal });
  }

  // again dials after a while, of at least so many milliseconds.
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

  // good says that there is nothing to try any more. The tries are forgotten when it has been so
  // for a while.
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
