// The prompts that are mixed, and the gallery whose chips fill the one in hand.

import { byId, make } from "./dom.js";

/** The page mixes so many; what the API set is shown whole. */
const MOST = 4;

/** Typing is painted after a pause of so long. */
const PAUSE_MS = 350;

export class Prompts {
  #list = byId("prompts");
  #rows = [];
  #prompts = [];
  #active = 0;
  #timer = 0;
  #mine = -Infinity;
  #gallery = [];

  constructor(panel) {
    this.panel = panel;
    byId("add-prompt").addEventListener("click", () => this.#add());
  }

  update(state) {
    this.#showGallery(state.gallery);
    const busy = performance.now() - this.#mine < PAUSE_MS + 500;
    if (!busy && JSON.stringify(state.controls.prompts) !== JSON.stringify(this.#prompts)) {
      this.#prompts = state.controls.prompts.map((prompt) => ({ ...prompt }));
      this.#show();
    }
    this.#mark();
  }

  #add() {
    const used = this.#prompts.map((prompt) => prompt.text);
    const free = this.#gallery.find(({ prompt }) => !used.includes(prompt));
    this.#prompts.push({ text: free?.prompt ?? "", weight: 1 });
    this.#active = this.#prompts.length - 1;
    this.#show();
    this.#rows[this.#active].text.focus();
    this.#send();
  }

  #remove(index) {
    this.#prompts.splice(index, 1);
    this.#show();
    this.#rows[Math.min(index, this.#rows.length - 1)].text.focus();
    this.#send();
  }

  #show() {
    this.#active = Math.max(0, Math.min(this.#active, this.#prompts.length - 1));
    while (this.#rows.length > this.#prompts.length) this.#rows.pop().root.remove();
    while (this.#rows.length < this.#prompts.length) this.#rows.push(this.#row(this.#rows.length));
    const total = this.#prompts.reduce((sum, prompt) => sum + prompt.weight, 0) || 1;
    this.#rows.forEach((row, index) => {
      const { text, weight } = this.#prompts[index];
      if (row.text.value !== text) row.text.value = text;
      row.weigh.hidden = this.#prompts.length < 2;
      row.weight.value = weight;
      row.share.textContent = `${Math.round((100 * weight) / total)} %`;
      row.root.classList.toggle("active", index === this.#active && this.#prompts.length > 1);
    });
    byId("add-prompt").hidden = this.#prompts.length >= MOST;
    this.#mark();
  }

  #row(index) {
    const text = make("textarea", { rows: 2, maxLength: 500, "aria-label": `Prompt ${index + 1}`, spellcheck: false });
    text.id = `prompt-${index + 1}`;
    const weight = make("input", { type: "range", min: 0, max: 2, step: 0.05, "aria-label": `Weight of prompt ${index + 1}` });
    const share = make("output");
    const remove = make("button", { className: "quiet", textContent: "×", "aria-label": `Remove prompt ${index + 1}` });
    const weigh = make("div", { className: "weigh" }, weight, share, remove);
    const root = make("div", { className: "prompt" }, text, weigh);
    text.addEventListener("focus", () => this.#take(index));
    text.addEventListener("input", () => this.#edit(index, { text: text.value }, PAUSE_MS));
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      this.#send();
    });
    weight.addEventListener("input", () => this.#edit(index, { weight: Number(weight.value) }, 16));
    remove.addEventListener("click", () => this.#remove(index));
    this.#list.append(root);
    return { root, text, weigh, weight, share };
  }

  #take(index) {
    this.#active = index;
    this.#show();
  }

  #edit(index, change, pauseMs) {
    Object.assign(this.#prompts[index], change);
    this.#show();
    this.#mine = performance.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), pauseMs);
  }

  #send() {
    clearTimeout(this.#timer);
    this.#mine = performance.now();
    // Weights of nothing at all cannot be mixed: the last one moved keeps a trace.
    if (this.#prompts.every((prompt) => prompt.weight === 0)) this.#prompts[this.#active].weight = 0.05;
    this.panel.set({ prompts: this.#prompts.map((prompt) => ({ ...prompt })) });
  }

  #showGallery(gallery) {
    if (this.#gallery.length === gallery.length) return;
    this.#gallery = gallery;
    const chips = gallery.map(({ name, prompt }) => {
      const chip = make("button", { textContent: name, title: prompt, "aria-pressed": "false" });
      chip.addEventListener("click", () => this.#choose(prompt));
      return chip;
    });
    byId("gallery").replaceChildren(...chips);
  }

  #choose(prompt) {
    this.#prompts[this.#active].text = prompt;
    this.#show();
    this.#send();
  }

  #mark() {
    const text = this.#prompts[this.#active]?.text;
    [...byId("gallery").children].forEach((chip, index) => {
      chip.setAttribute("aria-pressed", String(this.#gallery[index].prompt === text));
    });
  }
}
