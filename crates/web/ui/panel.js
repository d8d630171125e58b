// The controls beside the picture. A change is sent at most once a frame, and
// what the user is moving is not moved back by the server.

import { byId, make, offer } from "./dom.js";

const SLIDERS = [
  { name: "strength", label: "Strength", max: 1, title: "How far the painting may go from the picture" },
  { name: "feedback", label: "Feedback", max: 0.95, title: "Share of the frame before: calmer, slower" },
  { name: "smoothing", label: "Smoothing", max: 0.95, title: "Share of the shown picture before (e, d)" },
  { name: "camera", label: "Camera blend", max: 1, title: "Share of the camera's picture (+, -)" },
  { name: "glide_s", label: "Glide", max: 10, step: 0.1, unit: " s", title: "How long a change of prompt takes" },
];

const MORE = [
  { name: "target_fps", label: "Target rate", max: 60, step: 1, unit: " fps", zero: "off", title: "The size is lowered to reach it" },
  { name: "skip", label: "Skip still pictures", max: 0.2, step: 0.005, zero: "off", title: "Pictures that differ less are not painted" },
  { name: "refresh_s", label: "Refresh", min: 0.1, max: 60, step: 0.1, unit: " s", title: "Even a still scene is painted again after so long" },
  { name: "cut", label: "Scene cut", max: 1, title: "Pictures that differ more begin a new scene" },
  { name: "guidance", label: "Guidance", max: 30, step: 0.1, title: "For models that are told one" },
];

const SIZES = ["256x256", "384x384", "512x512", "640x640", "768x768", "1024x1024", "640x384", "768x512", "384x640", "512x768"];

/** A control that was touched is left alone for so long. */
const HANDS_OFF_MS = 700;

export class Panel {
  #change = {};
  #touched = new Map();
  #controls = {};
  #sliders = new Map();

  constructor(link, fail) {
    this.link = link;
    this.fail = fail;
    byId("sliders").append(...SLIDERS.map((slider) => this.#slider(slider)));
    byId("more").append(...MORE.map((slider) => this.#slider(slider)));
    this.#bind("seed", "change", (element) => ({ seed: Math.max(0, Math.floor(Number(element.value) || 0)) }));
    this.#bind("mirror", "change", (element) => ({ mirror: element.checked }));
    this.#bind("fit", "change", (element) => ({ fit: element.value }));
    this.#bind("size", "change", (element) => {
      const [width, height] = element.value.split("x").map(Number);
      return { size: { width, height } };
    });
    byId("dice").addEventListener("click", () => this.set({ seed: Math.floor(Math.random() * 2 ** 32) }));
    for (const id of ["model", "loras"]) byId(id).addEventListener("change", () => this.#load());
    byId("reset").addEventListener("click", () => link.do("reset").catch(fail));
    byId("quality").addEventListener("change", ({ target }) => link.want({ quality: Number(target.value) }));
    byId("blend").addEventListener("change", ({ target }) => link.want({ blend_fps: target.checked ? 60 : 0 }));
  }

  #load() {
    const model = { name: byId("model").value, loras: read(byId("loras").value) };
    this.link.do({ model }).catch(this.fail);
  }

  /** Changes controls with the next frame of the screen. */
  set(change) {
    if (!Object.keys(this.#change).length) setTimeout(() => this.#send(), 16);
    Object.assign(this.#change, change);
    Object.assign(this.#controls, change);
    for (const name of Object.keys(change)) this.#touched.set(name, performance.now());
    this.#show(change);
  }

  /** Moves a slider by so much, within its range. */
  nudge(name, by) {
    const { input } = this.#sliders.get(name);
    const value = Math.min(Number(input.max), Math.max(Number(input.min), this.#controls[name] + by));
    this.set({ [name]: Math.round(value * 1000) / 1000 });
  }

  toggle(name) {
    this.set({ [name]: !this.#controls[name] });
  }

  update(state) {
    const age = (name) => performance.now() - (this.#touched.get(name) ?? -Infinity);
    const fresh = Object.entries(state.controls).filter(([name]) => age(name) > HANDS_OFF_MS);
    Object.assign(this.#controls, Object.fromEntries(fresh));
    this.#show(Object.fromEntries(fresh));
    const { name, loras } = state.model;
    const models = state.models.map((model) => [model.name, model.here ? model.name : `${model.name} (download)`]);
    if (!state.models.some((model) => model.name === name)) models.unshift([name, name]);
    offer(byId("model"), models, name);
    if (document.activeElement !== byId("loras")) byId("loras").value = written(loras);
  }

  #show(controls) {
    for (const [name, value] of Object.entries(controls)) {
      if (this.#sliders.has(name)) this.#showSlider(name, value);
    }
    const { seed, mirror, fit, size } = controls;
    if (seed !== undefined && document.activeElement !== byId("seed")) byId("seed").value = seed;
    if (mirror !== undefined) byId("mirror").checked = mirror;
    if (fit !== undefined) byId("fit").value = fit;
    if (size !== undefined) this.#showSize(`${size.width}x${size.height}`);
  }

  #showSize(size) {
    const sizes = SIZES.includes(size) ? SIZES : [size, ...SIZES];
    offer(byId("size"), sizes.map((size) => [size, size.replace("x", " × ")]), size);
  }

  #showSlider(name, value) {
    const { input, output, unit = "", zero, step = 0.01 } = this.#sliders.get(name);
    input.value = value;
    const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
    const text = value === 0 && zero ? zero : value.toFixed(digits) + unit;
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  }

  #slider(slider) {
    const { name, label, min = 0, max, step = 0.01, title } = slider;
    const id = `slider-${name}`;
    const input = make("input", { type: "range", id, min, max, step, title });
    const output = make("output", { htmlFor: id });
    input.addEventListener("input", () => this.set({ [name]: Number(input.value) }));
    this.#sliders.set(name, { ...slider, input, output });
    return make("div", { className: "slider" }, make("label", { htmlFor: id, textContent: label, title }), output, input);
  }

  #bind(id, event, change) {
    byId(id).addEventListener(event, ({ target }) => this.set(change(target)));
  }

  #send() {
    const change = this.#change;
    this.#change = {};
    this.link.do({ set: change }).catch((error) => {
      // What was refused is shown as it is again.
      for (const name of Object.keys(change)) this.#touched.delete(name);
      this.fail(error);
    });
  }
}

/** Reads `FILE` or `FILE:SCALE`, several with commas between. */
export function read(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return parts.map((part) => {
    const [, path, scale] = part.match(/^(.+):(-?[\d.]+)$/) ?? [null, part, 1];
    return { path, scale: Number(scale) };
  });
}

function written(loras) {
  return loras.map(({ path, scale }) => (scale === 1 ? path : `${path}:${scale}`)).join(", ");
}
