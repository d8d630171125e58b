// The page in a real browser: it opens, gets painted pictures, follows what is
// changed, feeds its camera, and outlives its server.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { browserPath, freePort, isFake, startBrowser, startServer } from "./server.js";

const SHOTS = process.env.LATERNA_SHOTS ?? fileURLToPath(new URL("shots", import.meta.url));
const DESKTOP = { width: 1360, height: 850 };
/** The scene that the session draws itself: the one source that is everywhere. */
const SERVER_SOURCE = "synthetic";
const PHONE = { width: 390, height: 844 };

const skip = browserPath ? false : "there is no Chromium here";
let port;
let server;
let browser;
const errors = [];

before(async () => {
  if (skip) return;
  mkdirSync(SHOTS, { recursive: true });
  port = await freePort();
  [server, browser] = await Promise.all([startServer(port), startBrowser()]);
}, { timeout: 300_000 });

after(async () => {
  await browser?.stop();
  await server?.stop();
});

/** Opens the page, with a script of the test's own before those of the page. */
async function open({ viewport = DESKTOP, script, ...options } = {}) {
  const context = await browser.browser.newContext({ viewport, ...options });
  const page = await context.newPage();
  if (script) await page.addInitScript(script);
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(server.url);
  await painted(page);
  return page;
}

/** Waits until so many pictures more are on the canvas. */
async function painted(page, more = 2) {
  const first = Number(await page.getAttribute("#picture", "data-sequence")) || 0;
  await page.waitForFunction(
    ([first, more]) => {
      const canvas = document.querySelector("#picture");
      return !canvas.hidden && Number(canvas.dataset.sequence) >= first + more;
    },
    [first, more],
  );
}

/** The mean colour of the canvas. */
function colour(page) {
  return page.evaluate(() => {
    const canvas = document.querySelector("#picture");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const sums = [0, 0, 0];
    for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sums[c] += data[i + c];
    return sums.map((sum) => sum / (data.length / 4));
  });
}

function distance(a, b) {
  return Math.hypot(...a.map((value, i) => value - b[i]));
}

async function set(change) {
  const { origin, searchParams } = new URL(server.url);
  const headers = { authorization: `Bearer ${searchParams.get("token") ?? ""}` };
  const response = await fetch(`${origin}/api/v1/controls`, { method: "PATCH", headers, body: JSON.stringify(change) });
  assert.equal(response.status, 200, await response.text());
}

async function state() {
  const { origin, searchParams } = new URL(server.url);
  const headers = { authorization: `Bearer ${searchParams.get("token") ?? ""}` };
  return (await fetch(`${origin}/api/v1/state`, { headers })).json();
}

async function until(what, check) {
  for (let i = 0; i < 100; i++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(what);
}

test("the page opens and is painted on", { skip }, async () => {
  const page = await open();
  await page.waitForSelector('#status[data-level="good"]');
  assert.ok(await page.isHidden("#veil"));
  await page.waitForFunction(() => /^[1-9]/.test(document.querySelector("#figures dd").textContent));
  const latency = await page.textContent("#figures dd:nth-of-type(4)");
  assert.match(latency, /^\d+ ms$/);
  assert.ok(parseInt(latency) < 5000, latency);
  await page.context().close();
});

test("a prompt shows in the first frame painted with it", { skip }, async () => {
  await set({ smoothing: 0, feedback: 0, camera: 0, glide_s: 0, strength: 1, prompts: [{ text: "pencil sketch" }] });
  const page = await open();
  await painted(page, 5);
  const before = await colour(page);
  await page.evaluate(() => {
    window.seen = [];
    const canvas = document.querySelector("#picture");
    new MutationObserver(() => {
      const { data } = canvas.getContext("2d").getImageData(canvas.width / 2, 8, 1, 1);
      window.seen.push({ sequence: Number(canvas.dataset.sequence), settings: Number(canvas.dataset.settings), data: [...data] });
    }).observe(canvas, { attributeFilter: ["data-sequence"] });
  });
  await painted(page, 3);
  await page.click("text=Anime");
  await until("the prompt arrives", async () => (await state()).controls.prompts[0].text === "anime film still");
  await painted(page, 8);
  const seen = await page.evaluate(() => window.seen);
  const first = seen.findIndex((frame) => frame.settings > seen[0].settings);
  assert.ok(first > 0, "a frame with the new settings came");
  if (isFake) {
    const [old, fresh, last] = [seen[first - 1].data, seen[first].data, seen.at(-1).data];
    assert.ok(distance(old, fresh) > 40, `${old} to ${fresh}`);
    assert.ok(distance(fresh, last) < 15, `${fresh} to ${last}`);
  }
  assert.ok(distance(before, await colour(page)) > 10);
  assert.equal(await page.getAttribute("text=Anime", "aria-pressed"), "true");
  await page.context().close();
});

test("prompts are blended", { skip }, async () => {
  const page = await open();
  await page.click("#add-prompt");
  await until("there are two", async () => (await state()).controls.prompts.length === 2);
  await page.fill("#prompt-2", "gold leaf on a dark ground");
  await page.press("#prompt-2", "Enter");
  await until("the text arrives", async () => (await state()).controls.prompts[1].text.startsWith("gold leaf"));
  await page.getByLabel("Weight of prompt 2").fill("0.5");
  await until("the weight arrives", async () => (await state()).controls.prompts[1].weight === 0.5);
  await page.getByLabel("Remove prompt 2").click();
  await until("one is left", async () => (await state()).controls.prompts.length === 1);
  await page.context().close();
});

test("keys and sliders change the controls", { skip }, async () => {
  await set({ smoothing: 0.5, camera: 0 });
  const page = await open();
  await until("the page knows", async () => (await page.inputValue("#slider-smoothing")) === "0.5");
  for (const key of ["e", "d", "d", "+", "+", "-", "m"]) {
    await page.keyboard.press(key);
    await page.waitForTimeout(30);
  }
  await until("the keys arrive", async () => {
    const { controls } = await state();
    return Math.abs(controls.smoothing - 0.45) < 1e-3 && Math.abs(controls.camera - 0.05) < 1e-3 && controls.mirror;
  });
  await page.focus("#slider-strength");
  await page.keyboard.press("Home");
  await until("the slider arrives", async () => (await state()).controls.strength === 0);
  const { seed } = (await state()).controls;
  await page.click("#dice");
  await until("the seed arrives", async () => (await state()).controls.seed !== seed);
  await page.focus("#prompt-1");
  await page.keyboard.type("nnn");
  await until("letters are text there", async () => (await state()).controls.prompts[0].text.includes("nnn"));
  await page.keyboard.press("Escape");
  await set({ strength: 0.8, camera: 0, mirror: false, prompts: [{ text: "oil painting, thick brush strokes" }] });
  await page.context().close();
});

test("the camera of the browser is painted", { skip }, async () => {
  await set({ strength: 0, camera: 0, smoothing: 0 });
  const page = await open({ permissions: ["camera"] });
  await painted(page, 3);
  await page.click("#use-camera");
  await page.waitForSelector('#use-camera[aria-pressed="true"]');
  await until("the source is the browser", async () => (await state()).source.spec === "browser");
  await until("the picture is green", async () => {
    const [red, green, blue] = await colour(page);
    return green > red + 50 && green > blue + 50;
  });
  await painted(page, 10);
  assert.ok(await page.isHidden("#note"), "nothing says that it is a test picture");
  await page.screenshot({ path: `${SHOTS}/camera.png` });
  await set({ strength: 0.8 });
  await page.selectOption("#server-source", SERVER_SOURCE);
  await until("the server's source is back", async () => (await state()).source.spec !== "browser");
  await page.waitForSelector('#use-camera[aria-pressed="false"]');
  await page.context().close();
});

test("pictures go as pixels until their way turns out to be slow", { skip }, async () => {
  await set({ strength: 0, camera: 0, smoothing: 0 });
  const page = await open({
    permissions: ["camera"],
    script: () => {
      window.kinds = [];
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = function (data) {
        if (data instanceof Uint8Array) window.kinds.push(data[1]);
        send.call(this, data);
      };
    },
  });
  const kind = () => page.evaluate(() => window.kinds.at(-1));
  await page.click("#use-camera");
  await until("pixels are sent", async () => (await kind()) === 2);
  await page.evaluate(() => Object.defineProperty(WebSocket.prototype, "bufferedAmount", { get: () => 1 }));
  await until("JPEG is sent", async () => (await kind()) === 1);
  await painted(page, 10);
  const [red, green, blue] = await colour(page);
  assert.ok(green > red + 50 && green > blue + 50, "the picture is green");
  await set({ strength: 0.8 });
  await page.selectOption("#server-source", SERVER_SOURCE);
  await page.waitForSelector('#use-camera[aria-pressed="false"]');
  await page.context().close();
});

test("models and LoRAs are offered and read", { skip }, async () => {
  const page = await open();
  const { models } = await state();
  const shown = await page.locator("#model option").allTextContents();
  assert.deepEqual(shown, models.map(({ name, here }) => (here ? name : `${name} (download)`)));
  const loras = await page.evaluate(async () => {
    const { read } = await import("/assets/panel.js");
    return read("a.safetensors:0.5, C:\\b.safetensors,");
  });
  assert.deepEqual(loras, [{ path: "a.safetensors", scale: 0.5 }, { path: "C:\\b.safetensors", scale: 1 }]);
  await page.context().close();
});

test("only what the model sees of a camera is sent", { skip }, async () => {
  const page = await open();
  const found = await page.evaluate(async () => {
    const { part } = await import("/assets/source.js");
    const state = (width, height, fit) => ({ working_size: { width, height }, controls: { fit } });
    return [
      part(1280, 720, state(512, 512, "crop")),
      part(1280, 720, state(512, 512, "letterbox")),
      part(640, 480, state(1024, 768, "crop")),
      part(1920, 1080, null),
    ].map(({ width, height, scale }) => [width, height, Math.round(width * scale), Math.round(height * scale)]);
  });
  assert.deepEqual(found, [[720, 720, 512, 512], [1280, 720, 512, 288], [640, 480, 640, 480], [1920, 1080, 1280, 720]]);
  await page.context().close();
});

test("a picture file is painted", { skip }, async () => {
  await set({ strength: 0, smoothing: 0 });
  const page = await open();
  const red = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#f00";
    pen.fillRect(0, 0, 64, 64);
    return canvas.toDataURL("image/png").split(",")[1];
  });
  await page.setInputFiles("#file", { name: "red.png", mimeType: "image/png", buffer: Buffer.from(red, "base64") });
  await until("the picture is red", async () => {
    const [r, g, b] = await colour(page);
    return r > 200 && g < 60 && b < 60;
  });
  await set({ strength: 0.8 });
  await page.selectOption("#server-source", SERVER_SOURCE);
  await until("the server's source is back", async () => (await state()).source.spec !== "browser");
  await page.context().close();
});

test("a camera that is not allowed is explained", { skip }, async () => {
  const page = await open();
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotAllowedError"));
  });
  await page.click("#use-camera");
  await page.waitForSelector("#source-message:not([hidden])");
  assert.match(await page.textContent("#source-message"), /did not allow the camera/);
  await painted(page);
  await page.context().close();
});

test("painting and camera are compared", { skip }, async () => {
  const page = await open();
  const size = () => page.evaluate(() => [document.querySelector("#picture").width, document.querySelector("#picture").height]);
  const [width, height] = await size();
  await page.getByLabel("Side by side").click();
  await until("two pictures are side by side", async () => (await size())[0] === 2 * width);
  await page.waitForTimeout(600);
  await page.screenshot({ path: `${SHOTS}/side.png` });
  await page.click("text=Wipe");
  await until("one is over the other", async () => (await size())[0] === width && (await size())[1] === height);
  await page.fill("#wipe", "0.3");
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${SHOTS}/wipe.png` });
  await page.context().close();
});

test("a snapshot is downloaded and a recording told", { skip }, async () => {
  const page = await open();
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("s")]);
  assert.match(download.suggestedFilename(), /^laterna-\d{8}-\d{6}\.png$/);
  await page.waitForSelector("#notices p");
  await page.click("#record");
  await page.waitForSelector('#record[aria-pressed="true"]');
  assert.match(await page.textContent("#record"), /^Stop 0:0\d$/);
  await page.click("#record");
  await page.waitForSelector('#record[aria-pressed="false"]');
  await page.context().close();
});

test("help and the end ask first", { skip }, async () => {
  const page = await open();
  await page.keyboard.press("?");
  assert.ok(await page.isVisible("#help-dialog"));
  await page.screenshot({ path: `${SHOTS}/help.png` });
  await page.keyboard.press("Escape");
  await page.keyboard.press("q");
  await page.click("text=Stay");
  await painted(page);
  await page.context().close();
});

test("everything that can be used has a name", { skip }, async () => {
  const page = await open();
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, textarea, canvas")]
      .filter((element) => {
        const label = element.labels?.[0]?.textContent || element.getAttribute("aria-label") || element.textContent;
        return !label.trim();
      })
      .map((element) => element.outerHTML));
  assert.deepEqual(nameless, []);
  await page.context().close();
});

test("the page fits a desktop and a phone, light and dark", { skip }, async () => {
  await set({ strength: 0.55, smoothing: 0.2, camera: 0, prompts: [{ text: "impressionist painting" }] });
  for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    for (const colorScheme of ["light", "dark"]) {
      const options = name === "phone" ? { hasTouch: true, isMobile: true, deviceScaleFactor: 2 } : {};
      const page = await open({ viewport, colorScheme, ...options });
      await page.waitForTimeout(4000);
      await page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}.png` });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme);
      if (name === "phone") {
        await page.evaluate(() => scrollTo(0, 900));
        await page.waitForTimeout(300);
        await page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}-below.png` });
      }
      await page.context().close();
    }
  }
});

test("the page outlives its server and goes on with the next", { skip, timeout: 120_000 }, async () => {
  const page = await open();
  // What the browser says of a refused connection is no fault of the page.
  const before = errors.length;
  await server.stop();
  await page.waitForSelector('#status[data-level="bad"]');
  assert.ok(await page.isVisible("#picture"), "the last picture stays");
  await page.waitForTimeout(500);
  await page.screenshot({ path: `${SHOTS}/lost.png` });
  server = await startServer(port);
  await page.waitForSelector('#status[data-level="good"]');
  await painted(page);
  const during = errors.splice(before);
  assert.deepEqual(during.filter((text) => !/WebSocket|ERR_CONNECTION/.test(text)), []);
  await page.context().close();
});

test("nothing went wrong in the console", { skip }, () => {
  assert.deepEqual(errors, []);
});
