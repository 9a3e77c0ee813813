/**
 * Takes docs/page.png and docs/engine-room.png anew, of the built page and the model that ships, in a browser that is
 * installed. The engine room shows what this machine does: leave it alone meanwhile.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { startServer } from "../bench/server.mjs";
import { findBrowser } from "./browser.mjs";

const docs = fileURLToPath(new URL("../docs", import.meta.url));
const executablePath = findBrowser();
if (executablePath === undefined) throw new Error("no browser found; install Chromium, or set FOVEA_BROWSER");

const server = await startServer(["--no-packed-cache"]);
const browser = await chromium.launch({ executablePath });
try {
  await takePage();
  await takeRoom();
} finally {
  await browser.close();
  await server.stop();
}

async function visit(options, hash = "") {
  const page = await (await browser.newContext(options)).newPage();
  await page.goto(`${server.url}/${hash}`);
  return page;
}

/** A text in a list of some, tinted, with the alternatives to one of its tokens. */
async function takePage() {
  const page = await visit({ viewport: { width: 1120, height: 640 }, colorScheme: "light" });
  const button = (name) => page.getByRole("button", { name });
  await button("Settings").click();
  await page.getByText("Tinted").click();
  await button("Close: Settings").click();
  for (const [beginning, seed] of [
    ["The old house", 1],
    ["The three of them", 2],
    ["It was a bright", 8],
  ]) {
    await page.keyboard.press("Alt+n");
    await page.keyboard.press("Alt+s");
    await page.getByRole("spinbutton", { name: "Seed" }).fill(String(seed));
    await page.keyboard.press("Alt+s");
    await button(beginning).click();
    await button("Continue").and(page.locator(":enabled")).waitFor();
  }
  await page.locator(".drawn [data-t].t4").nth(21).hover({ force: true });
  await page.locator(".card").waitFor();
  await page.screenshot({ path: join(docs, "page.png") });
}

/** Half a minute of load. */
async function takeRoom() {
  const page = await visit({ viewport: { width: 1280, height: 1657 }, colorScheme: "dark" }, "#room");
  await page.getByRole("combobox", { name: "Texts at once" }).selectOption("64");
  await page.getByRole("button", { name: "Make load" }).click();
  await page.waitForTimeout(26_000);
  await page.screenshot({ path: join(docs, "engine-room.png") });
}
