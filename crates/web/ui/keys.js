// The keyboard. Keys do nothing while a text is edited or a dialog is open.

import { byId, make } from "./dom.js";

/** `actions` has a function for each name below. */
export function listen(actions) {
  const keys = [
    ["s", "Snapshot", actions.snapshot],
    ["n", "Next prompt", actions.next],
    ["p", "Previous prompt", actions.previous],
    ["+", "More of the camera's picture", () => actions.nudge("camera", 0.05)],
    ["-", "Less of the camera's picture", () => actions.nudge("camera", -0.05)],
    ["e", "More smoothing", () => actions.nudge("smoothing", 0.05)],
    ["d", "Less smoothing", () => actions.nudge("smoothing", -0.05)],
    ["c", "Compare with the camera's picture", actions.compare],
    ["m", "Mirror", actions.mirror],
    ["r", "Begin or end a recording", actions.record],
    ["f", "Full screen", actions.full],
    ["q", "End laterna", actions.quit],
    ["?", "These keys", actions.help],
  ];
  byId("key-list").append(...keys.flatMap(([key, label]) => [
    make("dt", {}, make("kbd", { textContent: key })),
    make("dd", { textContent: label }),
  ]));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isEditing(event.target)) return;
    const pressed = event.key === "=" ? "+" : event.key.toLowerCase();
    const found = keys.find(([key]) => key === pressed);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
}

function isEditing(target) {
  const isText = target.matches?.("textarea, select, input:not([type=range]):not([type=checkbox])");
  return isText || document.querySelector("dialog[open]") !== null;
}
