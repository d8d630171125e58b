// Where pictures come from: this browser's camera, screen or a file, or a source
// of the server. A picture is sent when the server asks for the next one.

import { byId, make, offer, say } from "./dom.js";

const QUALITY = 0.92;

/** The longest side that is sent before the model's size is known. */
const LONGEST = 1280;

/** The more pictures, the younger the newest when the model takes one. */
const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 60 } };

/** A hidden page gets no frames of its video; then one is taken so often. */
const PATIENCE_MS = 200;

/** Still pictures are sent so often. */
const STILL_MS = 100;

export class Sources {
  #link;
  #wire;
  #kind = null;
  #video = make("video", { muted: true, playsInline: true, loop: true });
  #still = null;
  #canvas = document.createElement("canvas");
  #busy = false;
  #state = null;

  /** `wire` knows whether pictures go as pixels. */
  constructor(link, wire) {
    this.#link = link;
    this.#wire = wire;
    const use = (id, open) => byId(id).addEventListener("click", () => this.#use(id.slice(4), open));
    use("use-camera", () => this.#openCamera());
    use("use-screen", () => this.#openScreen());
    byId("use-file").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      target.value = "";
      if (file) this.#use("file", () => this.#openFile(file));
    });
    byId("device").addEventListener("change", () => this.#use("camera", () => this.#openCamera()));
    byId("server-source").addEventListener("change", ({ target }) => this.#useServer(target.value));
    link.addEventListener("next", () => this.#next());
    link.addEventListener("feeding", () => this.#taken());
    link.addEventListener("open", () => this.#kind && this.#feed());
  }

  /** Which of this browser's sources is in use, or null. */
  get kind() {
    return this.#kind;
  }

  update(state) {
    this.#state = state;
    const others = state.sources.filter(({ spec }) => spec !== "browser");
    const pairs = others.map(({ spec, label }) => [spec, label]);
    const known = others.some(({ spec }) => spec === state.source.spec);
    if (state.source.spec === "browser") pairs.unshift(["", "–"]);
    else if (!known) pairs.unshift([state.source.spec, state.source.label]);
    offer(byId("server-source"), pairs, state.source.spec === "browser" ? "" : state.source.spec);
    if (this.#kind && state.source.spec !== "browser" && !this.#busy) this.#stop();
  }

  async #use(kind, open) {
    this.#busy = true;
    try {
      await open();
      this.#kind = kind;
      await this.#feed();
      say(byId("source-message"), "");
    } catch (error) {
      say(byId("source-message"), explain(kind, error), "error");
    }
    this.#busy = false;
    this.#mark();
  }

  async #feed() {
    this.#link.send({ feed: true });
    await this.#link.do({ source: "browser" });
  }

  async #useServer(spec) {
    if (!spec) return;
    try {
      await this.#link.do({ source: spec });
      this.#stop();
      say(byId("source-message"), "");
    } catch (error) {
      say(byId("source-message"), error.message, "error");
      if (this.#state) this.update(this.#state);
    }
  }

  async #openCamera() {
    const media = devices("getUserMedia");
    const deviceId = byId("device").value ? { exact: byId("device").value } : undefined;
    await this.#play(await media.getUserMedia({ video: { deviceId, ...CAMERA } }));
    await this.#listCameras(media);
  }

  async #listCameras(media) {
    const cameras = (await media.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    const current = this.#video.srcObject.getVideoTracks()[0].getSettings().deviceId;
    offer(byId("device"), cameras.map(({ deviceId, label }, i) => [deviceId, label || `Camera ${i + 1}`]), current);
    byId("device-row").hidden = cameras.length < 2;
  }

  async #openScreen() {
    const media = devices("getDisplayMedia");
    await this.#play(await media.getDisplayMedia({ video: { frameRate: 30 } }));
  }

  async #openFile(file) {
    if (file.type.startsWith("image/")) {
      const still = await createImageBitmap(file);
      this.#clear();
      this.#still = still;
      return;
    }
    this.#clear();
    this.#video.src = URL.createObjectURL(file);
    await this.#video.play();
  }

  async #play(stream) {
    this.#clear();
    this.#video.srcObject = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (this.#video.srcObject !== stream) return;
      this.#stop();
      say(byId("source-message"), "The browser has ended the camera or screen.", "error");
    });
    await this.#video.play();
  }

  #clear() {
    this.#still?.close();
    this.#still = null;
    this.#video.srcObject?.getTracks().forEach((track) => track.stop());
    this.#video.srcObject = null;
    if (this.#video.src) {
      URL.revokeObjectURL(this.#video.src);
      this.#video.removeAttribute("src");
      this.#video.load();
    }
  }

  #stop() {
    if (this.#kind) this.#link.send({ feed: false });
    this.#kind = null;
    this.#clear();
    this.#mark();
  }

  #taken() {
    this.#kind = null;
    this.#clear();
    this.#mark();
    say(byId("source-message"), "Another page gives the pictures now.");
  }

  #mark() {
    for (const kind of ["camera", "screen", "file"]) {
      byId(`use-${kind}`).setAttribute("aria-pressed", String(this.#kind === kind));
    }
  }

  async #next() {
    if (!this.#kind && !this.#busy) return;
    const at = this.#still ? await later(STILL_MS) : await frameOf(this.#video);
    if (this.#link.isCongested) this.#wire.wasHeldUp();
    const encoded = await this.#encode(this.#still ?? this.#video);
    // A source that is just being changed has no picture for a moment.
    if (!encoded) return void setTimeout(() => this.#next(), PATIENCE_MS);
    const now = this.#link.now() ?? 0;
    this.#link.sendPicture(encoded, now - (performance.now() - at) * 1000);
  }

  async #encode(picture) {
    const width = picture.videoWidth ?? picture.width;
    const height = picture.videoHeight ?? picture.height;
    if (!width || !height) return null;
    const seen = part(width, height, this.#state);
    this.#canvas.width = Math.max(1, Math.round(seen.width * seen.scale));
    this.#canvas.height = Math.max(1, Math.round(seen.height * seen.scale));
    const context = this.#canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    context.imageSmoothingQuality = "medium";
    const from = [(width - seen.width) / 2, (height - seen.height) / 2, seen.width, seen.height];
    context.drawImage(picture, ...from, 0, 0, this.#canvas.width, this.#canvas.height);
    const size = { width: this.#canvas.width, height: this.#canvas.height };
    if (this.#wire.carriesPixels(size)) {
      return { bytes: context.getImageData(0, 0, size.width, size.height).data, ...size };
    }
    const blob = await new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
    return blob && { bytes: new Uint8Array(await blob.arrayBuffer()) };
  }
}

/**
 * The middle part of a picture that the model sees, and how much smaller it sees
 * it: sending more would cost this machine and the other one time.
 */
export function part(width, height, state) {
  const model = state?.working_size;
  if (!model) return { width, height, scale: Math.min(1, LONGEST / Math.max(width, height)) };
  const [across, down] = [model.width / width, model.height / height];
  if (state.controls.fit !== "crop") return { width, height, scale: Math.min(1, across, down) };
  const cover = Math.max(across, down);
  return { width: model.width / cover, height: model.height / cover, scale: Math.min(1, cover) };
}

/** Resolves with the time at which the video's next frame was caught, in ms. */
function frameOf(video) {
  const waits = [later(PATIENCE_MS)];
  if (video.requestVideoFrameCallback) {
    waits.push(new Promise((resolve) => video.requestVideoFrameCallback((now, { captureTime }) => resolve(captureTime ?? now))));
  } else {
    waits.push(later(33));
  }
  return Promise.race(waits);
}

function later(ms) {
  return new Promise((resolve) => setTimeout(() => resolve(performance.now()), ms));
}

function devices(method) {
  if (navigator.mediaDevices?.[method]) return navigator.mediaDevices;
  throw new DOMException("", window.isSecureContext ? "NotSupportedError" : "SecurityError");
}

function explain(kind, error) {
  const what = kind === "screen" ? "screen" : "camera";
  switch (error.name) {
    case "SecurityError":
      return `Browsers give their ${what} only to secure pages, and this one came over plain http from another machine. `
        + "Open it through https, or through a tunnel as http://localhost (ssh -L 7860:localhost:7860 THE-MACHINE). Files work here too.";
    case "NotAllowedError":
      return `The browser did not allow the ${what}. Allow it beside the address bar, then try again.`;
    case "NotFoundError":
      return "This device has no camera that the browser can see.";
    case "NotReadableError":
      return `The ${what} is in use by another program.`;
    case "OverconstrainedError":
      return "This camera is gone. Choose another.";
    case "NotSupportedError":
      return kind === "file" ? "The browser cannot play this file." : `This browser cannot give its ${what}.`;
    default:
      return kind === "file" ? `The browser cannot read this file. ${error.message}` : error.message;
  }
}
