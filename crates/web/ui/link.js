// The socket to the server: connects again by itself, sends commands and gets
// their answers, and knows the server's clock. docs/api.md describes the messages.

const HEADER_BYTES = 16;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5000;
const CLOCK_PERIOD_MS = 2000;
const SAMPLES = 15;

export class Link extends EventTarget {
  #socket = null;
  #wait = FIRST_WAIT_MS;
  #next = 1;
  #pending = new Map();
  #samples = [];
  #ended = false;

  constructor() {
    super();
    this.view = {};
    this.#connect();
    setInterval(() => this.#askClock(), CLOCK_PERIOD_MS);
    // A page that wakes up, or a network that is back, need not wait.
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Time of the session's clock in microseconds, or null before it is known. */
  now() {
    if (!this.#samples.length) return null;
    const best = this.#samples.reduce((a, b) => (b.round < a.round ? b : a));
    return performance.now() * 1000 + best.offset;
  }

  /** Does a command; the promise fails with what the server says. */
  do(command) {
    if (!this.isOpen) return Promise.reject(new Error("There is no connection to the server."));
    const id = this.#next++;
    this.send({ id, do: command });
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  send(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  /** Which pictures to get; kept over reconnections. */
  want(view) {
    this.view = { ...this.view, ...view };
    this.send({ view: this.view });
  }

  /**
   * Sends a picture of this browser, caught at a time of the session's clock: a
   * JPEG, or pixels if it has a size.
   */
  sendPicture({ bytes, width = 0, height = 0 }, capturedUs) {
    const message = new Uint8Array(HEADER_BYTES + bytes.length);
    const header = new DataView(message.buffer);
    message.set([1, width ? 2 : 1]);
    header.setUint16(2, width, true);
    header.setUint16(4, height, true);
    header.setBigUint64(8, BigInt(Math.max(0, Math.round(capturedUs))), true);
    message.set(bytes, HEADER_BYTES);
    if (this.isOpen) this.#socket.send(message);
  }

  /** Whether the last picture that was sent has not left this browser yet. */
  get isCongested() {
    return this.#socket.bufferedAmount > 0;
  }

  #connect() {
    this.#emit("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#text(data) : this.#emit("picture", data));
    socket.onclose = () => this.#closed(socket);
    this.#socket = socket;
  }

  #opened() {
    this.#wait = FIRST_WAIT_MS;
    this.#ended = false;
    this.#samples = [];
    this.#askClock();
    this.send({ view: this.view });
    this.#emit("open");
  }

  #closed(socket) {
    if (socket !== this.#socket) return;
    for (const { reject } of this.#pending.values()) reject(new Error("The connection to the server was lost."));
    this.#pending.clear();
    this.#emit("closed", { waitMs: this.#wait, ended: this.#ended });
    this.timer = setTimeout(() => this.#connect(), this.#wait);
    this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 1.7);
  }

  #hurry() {
    if (this.#socket?.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.timer);
    this.#connect();
  }

  #askClock() {
    this.send({ clock: performance.now() });
  }

  #text(data) {
    const message = JSON.parse(data);
    if (message === "bye") this.#ended = true;
    else if (message.clock) this.#clock(message.clock);
    else if (message.answer) this.#answer(message.answer);
    else for (const kind of ["hello", "state", "stats", "next", "feeding", "error"]) {
      if (kind in message) this.#emit(kind, kind === "stats" ? message : message[kind]);
    }
  }

  #clock({ sent, now_us }) {
    const received = performance.now();
    this.#samples.push({ round: received - sent, offset: now_us - ((sent + received) / 2) * 1000 });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  #answer({ id, ok, error, hint }) {
    const waiting = this.#pending.get(id);
    this.#pending.delete(id);
    if (ok) waiting?.resolve();
    else waiting?.reject(new Error(hint ? `${error} (${hint})` : error));
  }

  #emit(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
