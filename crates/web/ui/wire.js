// Whether pictures go over the socket as bare pixels. On one machine that is
// faster than writing and reading JPEG at both ends, and nothing is lost. A
// tunnel looks like this machine too: then JPEG is used as soon as pictures take
// long.

const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/** More than JPEG costs at both ends, also where the model leaves a page little time. */
const SLOW_US = 50_000;

/** So many pictures are looked at together, so that a busy moment decides nothing. */
const SAMPLES = 31;

export class Wire {
  #link;
  #most = Infinity;
  #isFast = LOCAL.includes(location.hostname);
  #times = [];

  constructor(link) {
    this.#link = link;
    link.addEventListener("hello", ({ detail }) => (this.#most = detail.limits.picture_bytes));
    this.#tell();
  }

  /** Whether a picture of this size is sent as pixels. */
  carriesPixels({ width, height }) {
    return this.#isFast && 4 * width * height <= this.#most;
  }

  /** A picture was on its way for so many microseconds. */
  took(us) {
    if (!this.#isFast) return;
    this.#times.push(us);
    if (this.#times.length < SAMPLES) return;
    const median = this.#times.sort((a, b) => a - b)[SAMPLES >> 1];
    this.#times = [];
    if (median > SLOW_US) this.#settle();
  }

  /** A picture that was sent has not left yet when the next one is ready. */
  wasHeldUp() {
    this.took(2 * SLOW_US);
  }

  #settle() {
    this.#isFast = false;
    this.#tell();
  }

  #tell() {
    this.#link.want({ format: this.#isFast ? "rgba" : "jpeg" });
  }
}
