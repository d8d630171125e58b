// Draws the pictures in the order in which they come, one at a time: the next
// one is asked for when the last is on the canvas.

import { byId } from "./dom.js";

const KINDS = ["unique", "repeated", "interpolated"];
const HEADER_BYTES = 72;

export class Picture {
  #canvas = byId("picture");
  #room = byId("room");
  #context = this.#canvas.getContext("2d", { alpha: false });
  #painting = null;
  #camera = null;
  #wipe = byId("wipe");

  /** `wire` is told how long pictures take, and `shown` of each that is on the canvas. */
  constructor(link, wire, shown) {
    this.link = link;
    this.wire = wire;
    this.shown = shown;
    this.compare = "off";
    link.addEventListener("picture", ({ detail }) => this.#show(detail));
    new ResizeObserver(() => this.#fit()).observe(this.#room);
    this.#wipe.addEventListener("input", () => this.#draw());
    for (const kind of ["pointerdown", "pointermove"]) {
      this.#canvas.addEventListener(kind, (event) => this.#drag(event));
    }
  }

  get isEmpty() {
    return !this.#painting;
  }

  setCompare(mode) {
    this.compare = mode;
    byId("stage").dataset.compare = mode;
    byId("wipe-row").hidden = mode !== "wipe";
    this.link.want({ compare: mode !== "off" });
    this.#draw();
  }

  async #show(buffer) {
    const head = read(buffer);
    this.wire.took((this.link.now() ?? 0) - head.sentUs);
    try {
      if (head.painting) {
        const [painting, camera] = await Promise.all([bitmap(head.painting), bitmap(head.camera)]);
        this.#replace(painting, camera);
        this.#draw();
      }
    } catch {
      // A picture that the browser cannot decode is passed over; the next one comes.
    }
    this.link.send({ ack: head.number });
    this.shown(head);
  }

  #replace(painting, camera) {
    this.#painting?.close();
    this.#painting = painting;
    if (camera) {
      this.#camera?.close();
      this.#camera = camera;
    }
  }

  #draw() {
    if (!this.#painting) return;
    const { width, height } = this.#painting;
    const both = this.compare !== "off" && this.#camera;
    const side = both && this.compare === "side";
    // On a narrow screen two pictures stand above each other.
    const stacked = side && this.#room.clientWidth < this.#room.clientHeight * 1.3;
    this.#resize(side && !stacked ? 2 * width : width, stacked ? 2 * height : height);
    if (side) {
      this.#context.drawImage(this.#camera, 0, 0, width, height);
      this.#context.drawImage(this.#painting, stacked ? 0 : width, stacked ? height : 0);
      return;
    }
    this.#context.drawImage(this.#painting, 0, 0);
    if (both) this.#drawWipe(width, height);
  }

  #drawWipe(width, height) {
    const edge = Math.round(this.#wipe.value * width);
    const camera = this.#camera;
    if (edge > 0) {
      this.#context.drawImage(camera, 0, 0, (camera.width * edge) / width, camera.height, 0, 0, edge, height);
    }
    this.#context.fillStyle = "#fff";
    this.#context.fillRect(edge - 1, 0, 2, height);
  }

  #drag(event) {
    if (this.compare !== "wipe" || (event.type === "pointermove" && !event.buttons)) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const { left, width } = this.#canvas.getBoundingClientRect();
    this.#wipe.value = (event.clientX - left) / width;
    this.#draw();
  }

  #resize(width, height) {
    if (this.#canvas.hidden || this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.hidden = false;
      this.#canvas.width = width;
      this.#canvas.height = height;
      this.#fit();
    }
  }

  /** As large as the room allows, in the picture's shape. */
  #fit() {
    const { width, height } = this.#canvas;
    const scale = Math.min(this.#room.clientWidth / width, this.#room.clientHeight / height);
    this.#canvas.style.width = `${Math.floor(width * scale)}px`;
    this.#canvas.style.height = `${Math.floor(height * scale)}px`;
  }
}

function read(buffer) {
  const view = new DataView(buffer);
  const number = (at) => Number(view.getBigUint64(at, true));
  const header = view.getUint16(2, true) || HEADER_BYTES;
  const end = header + view.getUint32(4, true);
  const content = (from, to, at) => decodable(buffer, from, to, view.getUint16(at, true), view.getUint16(at + 2, true));
  return {
    kind: KINDS[view.getUint8(1)],
    number: number(8),
    sequence: number(16),
    capturedUs: number(24),
    sentUs: number(32),
    settings: number(40),
    scene: number(48),
    bytes: buffer.byteLength,
    painting: content(header, end, 64),
    camera: content(end, buffer.byteLength, 68),
  };
}

/** A picture as a bitmap can be made of it: pixels if it has a size, else a JPEG. */
function decodable(buffer, from, to, width, height) {
  if (from === to) return null;
  if (width) return new ImageData(new Uint8ClampedArray(buffer, from, to - from), width, height);
  return new Blob([buffer.slice(from, to)], { type: "image/jpeg" });
}

function bitmap(content) {
  return content && createImageBitmap(content);
}
