// Joins the parts of the page and says how things stand.

import { Chart } from "./chart.js";
import { byId, kept, make, say } from "./dom.js";
import { listen } from "./keys.js";
import { Link } from "./link.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Prompts } from "./prompts.js";
import { Sources } from "./source.js";
import { Wire } from "./wire.js";

const NOTICE_MS = 6000;
const COMPARISONS = ["off", "side", "wipe"];

forgetToken();
const link = new Link();
const chart = new Chart(link);
const wire = new Wire(link);
const picture = new Picture(link, wire, shown);
const panel = new Panel(link, fail);
const prompts = new Prompts(panel);
const sources = new Sources(link, wire);

let state = null;
let lost = null;
let seen = null;
let lastPicture = 0;
let recordingSince = null;

link.addEventListener("open", () => ((lost = null), tell()));
link.addEventListener("closed", ({ detail }) => ((lost = detail), tell()));
link.addEventListener("error", ({ detail }) => fail(new Error(detail)));
link.addEventListener("state", ({ detail }) => update(detail));
setInterval(refresh, 500);
for (const id of ["server-source", "model"]) byId(id).addEventListener("pointerdown", look);
navigator.mediaDevices?.addEventListener("devicechange", look);

byId("snapshot").addEventListener("click", snapshot);
byId("record").addEventListener("click", record);
byId("full").addEventListener("click", full);
byId("help").addEventListener("click", help);
byId("quit").addEventListener("click", quit);
byId("theme").addEventListener("click", turnTheme);
for (const button of document.querySelectorAll("[data-compare][role=radio]")) {
  button.addEventListener("click", () => compare(button.dataset.compare));
  button.addEventListener("keydown", arrow);
}
byId("quit-dialog").addEventListener("close", ({ target }) => {
  if (target.returnValue === "quit") link.do("quit").catch(fail);
});
listen({
  snapshot,
  record,
  full,
  help,
  quit,
  next: () => link.do("next_prompt").catch(fail),
  previous: () => link.do("previous_prompt").catch(fail),
  nudge: (name, by) => panel.nudge(name, by),
  mirror: () => panel.toggle("mirror"),
  compare: () => compare(COMPARISONS[(COMPARISONS.indexOf(picture.compare) + 1) % COMPARISONS.length]),
});
compare("off");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", setTheme);
setTheme();
// A small screen needs no large pictures.
link.want({ width: Math.round(Math.max(screen.width, screen.height) * (devicePixelRatio || 1)), quality: 80 });

/** The token is in a cookie by now and need not stand in the address. */
function forgetToken() {
  if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", location.pathname);
}

function update(next) {
  state = next;
  panel.update(state);
  prompts.update(state);
  sources.update(state);
  recordingSince = state.recording ? performance.now() - state.recording.seconds * 1000 : null;
  showNotices(state.notices);
  tell();
}

/** What was left alone because the user had it in hand is brought up to date. */
function refresh() {
  if (state && !lost) {
    panel.update(state);
    prompts.update(state);
  }
  tell();
}

function shown(head) {
  lastPicture = performance.now();
  chart.shown(head);
  Object.assign(byId("picture").dataset, { sequence: head.sequence, settings: head.settings });
  if (!byId("veil").hidden) tell();
}

/** Says how things stand: above, over the picture, and for a screen reader. */
function tell() {
  const { level, text, hint = "", part, veil } = situation();
  byId("status").dataset.level = level;
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
  byId("veil").hidden = !veil;
  byId("veil").classList.toggle("over", !picture.isEmpty);
  byId("veil-text").textContent = text;
  byId("veil-hint").textContent = hint;
  byId("veil-part").hidden = part === undefined;
  if (typeof part === "number") byId("veil-part").value = part;
  else byId("veil-part").removeAttribute("value");
  say(byId("note"), noteOf());
  tellRecording();
}

function situation() {
  if (lost?.ended) return { level: "bad", text: "laterna has ended", hint: "Start it again, and this page goes on by itself.", veil: true };
  if (lost && picture.isEmpty) return { level: "bad", text: "The server does not answer", hint: "Trying again.", veil: true };
  if (lost) return { level: "bad", text: "Connection lost", hint: "Trying again. This is the last picture.", veil: true };
  if (!state) return { level: "warn", text: "Connecting", veil: true };
  if (state.loading) return { level: "warn", text: state.loading.what, part: state.loading.part, veil: true };
  if (!state.source.live) return { level: "warn", text: `Waiting for pictures from ${state.source.label}`, hint: "Another source can be chosen.", veil: true };
  if (picture.isEmpty) return { level: "warn", text: "Waiting for the first picture", veil: true };
  const age = performance.now() - lastPicture;
  if (age > 5000) return { level: "warn", text: `No picture for ${Math.round(age / 1000)} s` };
  return { level: "good", text: sourceName() };
}

function sourceName() {
  const names = { camera: "This browser's camera", screen: "This browser's screen", file: "A file of this browser" };
  return names[sources.kind] ?? state.source.label;
}

function noteOf() {
  if (!state || lost || picture.isEmpty) return "";
  if (state.source.spec.startsWith("synthetic")) return "Test picture: no camera in use";
  const { working_size: size, controls } = state;
  if (size && (size.width !== controls.size.width || size.height !== controls.size.height)) {
    return `Painting at ${size.width} × ${size.height} to keep the rate`;
  }
  return "";
}

function tellRecording() {
  const button = byId("record");
  button.setAttribute("aria-pressed", String(recordingSince !== null));
  const seconds = recordingSince === null ? 0 : Math.floor((performance.now() - recordingSince) / 1000);
  const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const text = recordingSince === null ? "Record" : `Stop ${time}`;
  if (button.textContent !== text) button.textContent = text;
  button.title = state?.recording ? `Recording ${state.recording.file}` : "Record a video (r)";
}

/** Notices from before the page came are not news. */
function showNotices(notices) {
  const last = notices.at(-1)?.number ?? -1;
  if (seen !== null) {
    // A server that was started again counts from the beginning.
    if (last < seen) seen = -1;
    notices.filter(({ number }) => number > seen).forEach(({ level, text }) => notice(text, level));
  }
  seen = last;
}

function notice(text, level = "info") {
  const element = make("p", { textContent: text, "data-level": level });
  byId("notices").append(element);
  setTimeout(() => element.remove(), NOTICE_MS);
  while (byId("notices").children.length > 4) byId("notices").firstChild.remove();
}

function fail(error) {
  notice(error.message, "error");
}

/** The list that is about to be opened should know of a camera plugged in just now. */
function look() {
  if (link.isOpen) link.do("look").catch(fail);
}

async function snapshot() {
  try {
    await link.do("snapshot");
    const response = await fetch("/api/v1/frame.png");
    if (!response.ok) throw new Error((await response.json()).error);
    const href = URL.createObjectURL(await response.blob());
    const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
    make("a", { href, download: `laterna-${stamp}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  } catch (error) {
    fail(error);
  }
}

function record() {
  link.do({ record: recordingSince === null }).catch(fail);
}

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("room").requestFullscreen?.().catch(fail);
}

function help() {
  byId("help-dialog").showModal();
}

function quit() {
  byId("quit-dialog").returnValue = "";
  byId("quit-dialog").showModal();
}

function compare(mode) {
  picture.setCompare(mode);
  for (const button of document.querySelectorAll("[data-compare][role=radio]")) {
    const isChosen = button.dataset.compare === mode;
    button.setAttribute("aria-checked", String(isChosen));
    button.tabIndex = isChosen ? 0 : -1;
  }
}

function arrow(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const index = COMPARISONS.indexOf(picture.compare) + by + COMPARISONS.length;
  compare(COMPARISONS[index % COMPARISONS.length]);
  document.querySelector("[role=radio][aria-checked=true]").focus();
}

function turnTheme() {
  kept.set("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  setTheme();
}

function setTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = kept.get("theme") ?? system;
  chart.draw();
}
