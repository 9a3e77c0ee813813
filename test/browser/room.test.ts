/** The engine room draws what the engine does, while it does it. */
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { inBrowser, site, soon } from "./site.ts";

/** How many pixels of a canvas have the colour of this variable of the page's style sheet. */
const painted = (page: Page, canvas: string, variable: string): Promise<number> =>
  page.locator(canvas).evaluate((element, name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    element.parentElement!.append(probe);
    const color = getComputedStyle(probe).color.match(/\d+/g)!.map(Number);
    probe.remove();
    // From a copy: the canvas itself is not made to be read.
    const canvas = element as HTMLCanvasElement;
    const { width, height } = canvas;
    const copy = Object.assign(document.createElement("canvas"), { width, height });
    const context = copy.getContext("2d", { willReadFrequently: true })!;
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
      if (color.every((part, k) => data[i + k] === part) && data[i + 3] === 255) count++;
    return count;
  }, variable);

inBrowser("the engine room", () => {
  const { visit } = site();
  const tile = (page: Page, name: string) =>
    page.locator(".tiles div", { has: page.getByText(name, { exact: true }) });
  const value = async (page: Page, name: string) =>
    Number.parseFloat((await tile(page, name).locator("dd").innerText()).replaceAll(",", ""));
  const lanes = "[aria-labelledby=lanes] canvas";
  const cache = "[aria-labelledby=cache] canvas";
  const charts = ["[aria-labelledby=throughput] canvas", "[aria-labelledby=latency] canvas"] as const;

  it("draws lanes, cache and charts under load, in light and dark, stands still and goes on", async () => {
    const page = await visit();
    await page.getByRole("link", { name: "Engine room" }).click();
    await page.getByText("Nothing runs, nothing waits.").waitFor();
    expect(await painted(page, lanes, "decode")).toBe(0);
    await page.getByRole("combobox", { name: "Texts at once" }).selectOption("16");
    await page.getByRole("button", { name: "Make load" }).click();
    await soon(() => value(page, "Running")).toBeGreaterThan(4);
    await soon(() => value(page, "Generated")).toBeGreaterThan(0);
    await soon(() => value(page, "Found in cache")).toBeGreaterThan(0);
    await page.getByText("As a table").click();
    await soon(() => page.getByRole("row").count()).toBeGreaterThan(4);
    await page.getByText(/^Sequences: .*\d+ writing/).waitFor();
    await page.getByText(/^16 short texts at once; [1-9]\d* written$/).waitFor();
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await soon(() => painted(page, lanes, "decode")).toBeGreaterThan(100);
      await soon(() => painted(page, lanes, "prefill")).toBeGreaterThan(0);
      await soon(() => painted(page, cache, "users-1")).toBeGreaterThan(50);
      for (const chart of charts) await soon(() => painted(page, chart, "decode")).toBeGreaterThan(20);
    }

    // Paused, it stands still while the engine does not.
    const load = page.getByRole("button", { name: /the load|Make load/ });
    await page.getByRole("button", { name: "Pause" }).click();
    const stood = await page.locator(".tiles").innerText();
    await load.click();
    await soon(async () => (await (await page.request.get("/engine")).json()).stats.running).toBe(0);
    expect(await page.locator(".tiles").innerText()).toBe(stood);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Nothing runs, nothing waits.").waitFor();
    await soon(() => value(page, "Running")).toBe(0);
    await soon(() => painted(page, cache, "users-1")).toBe(0);
    expect(await painted(page, cache, "kept")).toBeGreaterThan(50);

    // The load ends with the view that asked for it, however often that did before it was drawn again.
    await load.evaluate((button: HTMLElement) => {
      for (let i = 0; i < 2; i++) button.click();
    });
    await soon(() => value(page, "Running")).toBeGreaterThan(0);
    await page.getByRole("link", { name: "Chat" }).click();
    await page.getByRole("link", { name: "Engine room" }).click();
    await page.getByText("Nothing runs, nothing waits.").waitFor();
  });
});
