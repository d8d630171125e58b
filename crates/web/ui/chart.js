// The pace over the last minute: what was shown, by kind, and how old it was
// when it was on the canvas.

import { byId, make } from "./dom.js";

const PERIOD_MS = 500;
const COLUMNS = 120;
const FIGURES = [
  ["a", "New", "unique"],
  ["b", "Blended", "interpolated"],
  ["c", "Repeated", "repeated"],
  ["line", "Latency, half below", "p50"],
  ["thin", "Latency, 95 % below", "p95"],
  ["", "Model", "model"],
  ["", "Data", "data"],
];

export class Chart {
  #canvas = byId("chart");
  #columns = [];
  #current = empty();
  #model = null;
  #values = new Map();
  #since = performance.now();

  constructor(link) {
    this.link = link;
    byId("figures").append(...FIGURES.flatMap(([mark, label, name]) => {
      const value = make("dd", { textContent: "–" });
      this.#values.set(name, value);
      return [make("i", { className: mark }), make("dt", { textContent: label }), value];
    }));
    link.addEventListener("stats", ({ detail }) => (this.#model = detail.stats.infer.recent));
    setInterval(() => this.#turn(), PERIOD_MS);
    new ResizeObserver(() => this.draw()).observe(this.#canvas);
  }

  /** Counts a picture that is on the canvas. */
  shown({ kind, capturedUs, bytes }) {
    this.#current[kind] += 1;
    this.#current.bytes += bytes;
    const now = this.link.now();
    if (kind === "unique" && now !== null) this.#current.latencies.push(Math.max(0, (now - capturedUs) / 1000));
  }

  #turn() {
    const now = performance.now();
    this.#columns.push(close(this.#current, (now - this.#since) / 1000));
    this.#since = now;
    this.#current = empty();
    if (this.#columns.length > COLUMNS) this.#columns.shift();
    this.#tell();
    this.draw();
  }

  /** Numbers of the last two seconds, which can be read. */
  #tell() {
    const last = this.#columns.slice(-4);
    const mean = (name) => last.reduce((sum, column) => sum + column[name], 0) / last.length;
    const latencies = last.flatMap((column) => column.latencies).sort((a, b) => a - b);
    const put = (name, text) => (this.#values.get(name).textContent = text);
    for (const kind of ["unique", "interpolated", "repeated"]) put(kind, `${mean(kind).toFixed(1)} fps`);
    put("p50", latencies.length ? `${quantile(latencies, 0.5).toFixed(0)} ms` : "–");
    put("p95", latencies.length ? `${quantile(latencies, 0.95).toFixed(0)} ms` : "–");
    put("model", this.#model?.count ? `${this.#model.p50_ms.toFixed(1)} ms` : "–");
    put("data", `${((mean("bytes") * 8) / 1e6).toFixed(1)} Mbit/s`);
  }

  draw() {
    const scale = devicePixelRatio || 1;
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    if (!width) return;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const half = Math.floor(height / 2);
    this.#bars(pen, colour, { top: 0, bottom: half - 8, width });
    this.#lines(pen, colour, { top: half + 8, bottom: height - 1, width });
  }

  #bars(pen, colour, area) {
    const total = (column) => column.unique + column.interpolated + column.repeated;
    const most = nice(Math.max(10, ...this.#columns.map(total)));
    frame(pen, colour, area, `${most} fps`);
    const step = area.width / COLUMNS;
    this.#columns.forEach((column, i) => {
      let bottom = area.bottom;
      const left = area.width - (this.#columns.length - i) * step;
      for (const [kind, name] of [["unique", "--chart-a"], ["interpolated", "--chart-b"], ["repeated", "--chart-c"]]) {
        const tall = ((area.bottom - area.top) * column[kind]) / most;
        pen.fillStyle = colour(name);
        pen.fillRect(left, bottom - tall, step - 0.4, tall);
        bottom -= tall;
      }
    });
  }

  #lines(pen, colour, area) {
    const most = nice(Math.max(20, ...this.#columns.map((column) => column.p95 ?? 0)));
    frame(pen, colour, area, `${most} ms`);
    for (const [name, ink, dash] of [["p95", "--soft", [2, 3]], ["p50", "--ink", []]]) {
      pen.strokeStyle = colour(ink);
      pen.lineWidth = 1.5;
      pen.setLineDash(dash);
      pen.beginPath();
      let drawn = false;
      this.#columns.forEach((column, i) => {
        if (column[name] === null) return void (drawn = false);
        const x = area.width - (this.#columns.length - i - 0.5) * (area.width / COLUMNS);
        const y = area.bottom - ((area.bottom - area.top) * column[name]) / most;
        if (drawn) pen.lineTo(x, y);
        else pen.moveTo(x, y);
        drawn = true;
      });
      pen.stroke();
    }
    pen.setLineDash([]);
  }
}

function empty() {
  return { unique: 0, repeated: 0, interpolated: 0, bytes: 0, latencies: [] };
}

function close(column, seconds) {
  const sorted = column.latencies.sort((a, b) => a - b);
  const rate = (name) => column[name] / seconds;
  return {
    unique: rate("unique"),
    repeated: rate("repeated"),
    interpolated: rate("interpolated"),
    bytes: rate("bytes"),
    latencies: sorted,
    p50: sorted.length ? quantile(sorted, 0.5) : null,
    p95: sorted.length ? quantile(sorted, 0.95) : null,
  };
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

/** The next of 1, 2, 5, 10, 20, 50 and so on. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function frame(pen, colour, { top, bottom, width }, label) {
  pen.strokeStyle = colour("--line");
  pen.lineWidth = 1;
  pen.beginPath();
  for (const y of [top + 0.5, bottom + 0.5]) {
    pen.moveTo(0, y);
    pen.lineTo(width, y);
  }
  pen.stroke();
  pen.fillStyle = colour("--soft");
  pen.font = "11px system-ui, sans-serif";
  pen.fillText(label, 2, top + 12);
}
