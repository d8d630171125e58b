// Starts what is tested, a browser for it, and a camera for the browser.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What is tested: prints the page's address on either stream, ends with its standard input or SIGTERM. */
const COMMAND = process.env.LATERNA_PAGE_COMMAND ?? "cargo run -q -p laterna-web --example fake -- {port}";

/** Whether it is the session that paints by a known rule. */
export const isFake = !process.env.LATERNA_PAGE_COMMAND || COMMAND.includes("fake");

export const browserPath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .find((path) => path && existsSync(path));

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves with the address once it is printed. */
export async function startServer(port) {
  const [program, ...args] = COMMAND.replace("{port}", port).split(" ");
  const child = spawn(program, args, { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    let printed = "";
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    const listen = (data) => {
      printed += data;
      const found = printed.match(/https?:\/\/\S+/);
      if (found) resolve(found[0]);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", (data) => {
      process.stderr.write(data);
      listen(data);
    });
  });
  const stop = async () => {
    child.stdin.end();
    child.kill("SIGTERM");
    await ended;
  };
  return { url, stop };
}

export async function startBrowser() {
  const folder = mkdtempSync(join(tmpdir(), "laterna-browser-"));
  const camera = join(folder, "camera.y4m");
  writeFileSync(camera, cameraFile());
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-video-capture=${camera}`,
    ],
  });
  const stop = async () => {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { browser, stop };
}

/** A bright green picture with a dark bar that moves: nothing else here is green. */
export function cameraFile() {
  const [width, height, frames] = [320, 240, 15];
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F15:1 Ip A1:1 C420jpeg\n`)];
  for (let frame = 0; frame < frames; frame++) {
    const luma = Buffer.alloc(width * height, 150);
    for (let y = 0; y < height; y++) luma.fill(40, y * width + frame * 20, y * width + frame * 20 + 16);
    parts.push(Buffer.from("FRAME\n"), luma, Buffer.alloc((width * height) / 4, 54), Buffer.alloc((width * height) / 4, 34));
  }
  return Buffer.concat(parts);
}
