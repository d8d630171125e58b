// Small helpers for the page's elements.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element: its properties are set, attributes are those with a dash, and children follow. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Makes a select offer these `[value, label]` pairs, touching it only if they changed. */
export function offer(select, pairs, value) {
  const key = JSON.stringify(pairs);
  if (select.dataset.offers !== key) {
    select.dataset.offers = key;
    select.replaceChildren(...pairs.map(([value, label]) => make("option", { value, textContent: label })));
  }
  select.value = value;
}

/** Shows or hides a text. */
export function say(element, text, level = "info") {
  element.hidden = !text;
  element.dataset.level = level;
  if (element.textContent !== text) element.textContent = text;
}

/** A value kept in this browser; a browser that keeps nothing is fine too. */
export const kept = {
  get(name) {
    try {
      return localStorage.getItem(`laterna.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`laterna.${name}`, value);
    } catch {
      // Private windows may refuse; the choice then lasts as long as the page.
    }
  },
};
