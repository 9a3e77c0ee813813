/** A text that reader and model write together, with the model that ships. */
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { asked, inBrowser, site, slow, soon } from "./site.ts";

const beginning = "It was a bright, cold morning when the captain";

inBrowser("a text", () => {
  const { visit } = site();

  const field = (page: Page) => page.getByRole("textbox", { name: "Your text" });
  const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name });
  const text = (page: Page) => field(page).inputValue();
  const length = async (page: Page) => (await text(page)).length;
  const ended = (page: Page) => button(page, "Continue").and(page.locator(":enabled")).waitFor();
  const note = (page: Page) => page.locator(".desk small");
  /** Sets what can be set, with the panel open, by the labels that a reader sees. */
  const set = async (page: Page, values: Readonly<Record<string, string>>) => {
    for (const [label, value] of Object.entries(values))
      await page.getByRole("spinbutton", { name: label, exact: true }).fill(value);
  };
  /** A short continuation. */
  const written = async (page: Page) => {
    await page.keyboard.press("Alt+s");
    await set(page, { Length: "12" });
    await page.keyboard.press("Alt+s");
    await field(page).fill(beginning);
    await button(page, "Continue").click();
    await ended(page);
  };

  it("begins with the model's name and beginnings, streams, and is stopped", async () => {
    const page = await visit();
    expect(await page.title()).toBe("Fovea");
    await page.getByText("default", { exact: true }).waitFor();
    await page.getByRole("heading", { name: "Begin a page." }).waitFor();
    await slow(page, 20_000);
    await button(page, beginning).click();
    await button(page, "Stop").waitFor();
    await soon(() => length(page)).toBeGreaterThan(beginning.length);
    const some = await text(page);
    await soon(() => length(page)).toBeGreaterThan(some.length);
    expect(await button(page, "Stop").isEnabled()).toBe(true);
    await page.keyboard.press("Escape");
    await ended(page);
    const end = await text(page);
    expect(end.startsWith(some)).toBe(true);
    expect(some.startsWith(beginning)).toBe(true);
    expect(await note(page).textContent()).toMatch(/^\d+ tokens .* stopped$/);
    expect(await page.title()).toContain("Fovea");
  });

  it("is written otherwise, taken back, brought again, edited and continued", async () => {
    const page = await visit();
    await written(page);
    const first = await text(page);
    await button(page, "Again").click();
    await ended(page);
    const second = await text(page);
    expect(second.startsWith(beginning)).toBe(true);
    expect(second).not.toBe(first);
    await button(page, "Undo").click();
    expect(await text(page)).toBe(first);
    await button(page, "Redo").click();
    expect(await text(page)).toBe(second);
    await field(page).press("Control+z");
    expect(await text(page)).toBe(first);
    await field(page).press("Control+End");
    await field(page).pressSequentially(" And so");
    await field(page).press("Control+Enter");
    await soon(() => length(page)).toBeGreaterThan(first.length + " And so".length);
    await ended(page);
    expect((await text(page)).startsWith(`${first} And so`)).toBe(true);
  });

  it("is sampled as it is set, by field, slider and seed", async () => {
    const page = await visit();
    const asks = asked(page, "/v1/completions");
    await page.keyboard.press("Alt+s");
    await set(page, { Length: "8", Seed: "7", "Top-k": "40" });
    await page.getByRole("slider", { name: "Temperature" }).press("ArrowRight");
    await page.getByRole("textbox", { name: "Stop texts" }).fill("\\n");
    await set(page, { "Min-p": "3" });
    await page.getByText("Must be a number from 0 to 1.").waitFor();
    await field(page).fill(beginning);
    await button(page, "Continue").click();
    await ended(page);
    expect(asks).toHaveLength(1);
    expect(asks[0]).toMatchObject({
      max_tokens: 8,
      seed: 7,
      top_k: 40,
      temperature: 0.85,
      top_p: 0.95,
      stop: ["\n"],
    });
    expect(asks[0]).not.toHaveProperty("min_p");
    const first = await text(page);
    await button(page, "Again").click();
    await ended(page);
    expect(await text(page)).toBe(first);
    await button(page, "Settings, 5 changed").waitFor();
    await button(page, "Reset all").click();
    await page.locator("[aria-label='Settings'][aria-expanded='true']").waitFor();
    expect(await page.getByRole("spinbutton", { name: "Seed" }).inputValue()).toBe("");
  });

  it("shows what else a token might have been: where the mouse is, and where the caret is", async () => {
    const page = await visit();
    const asks = asked(page, "/v1/completions");
    await written(page);
    const card = page.locator(".card");
    await page.mouse.move(5, 5);
    expect(await card.count()).toBe(0);
    const box = (await page.locator("[data-t='3']").boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await card.waitFor();
    const rows = await card.locator("tr").allTextContents();
    expect(rows.length).toBeGreaterThanOrEqual(5);
    for (const row of rows) expect(row).toMatch(/^.+\d %$/s);
    expect(await card.locator(".chosen").count()).toBe(1);
    await page.mouse.move(5, 5);
    await card.waitFor({ state: "detached" });

    // By keys it is read out too.
    await field(page).focus();
    await field(page).press("Control+End");
    await card.waitFor();
    const last = await page.locator("[data-t]").last().textContent();
    await page
      .getByRole("status")
      .filter({ hasText: `“${last}”` })
      .filter({ hasText: "others:" })
      .waitFor();
    for (let i = last!.length; i > 0; i--) await field(page).press("ArrowLeft");
    await page.locator("[data-t]").nth(-2).and(page.locator(".pointed")).waitFor();

    await button(page, "Settings").click();
    await page.getByText("Tinted", { exact: true }).click();
    const tints = await page
      .locator("[data-t]")
      .evaluateAll((tokens) => new Set(tokens.map((token) => getComputedStyle(token).backgroundColor)).size);
    expect(tints).toBeGreaterThan(1);
    await page.getByText("Off", { exact: true }).click();
    expect(await page.locator("[data-t]").count()).toBe(0);
    await button(page, "Again").click();
    await ended(page);
    expect(asks.map((ask) => "logprobs" in ask)).toEqual([true, false]);
  });

  it("is kept: after a reload, in the list, and in a file", async () => {
    const page = await visit();
    await written(page);
    const [first, address] = [await text(page), page.url()];
    await button(page, "New").and(page.locator(".toolbar *")).click();
    expect(await text(page)).toBe("");
    await field(page).fill("Another text");
    const list = page.getByRole("navigation", { name: "Kept conversations" });
    const titles = list.locator(".title");
    await page.waitForURL((url) => /#chat.+/.test(url.hash) && url.href !== address);
    await page.goBack();
    await soon(() => text(page)).toBe(first);
    await page.reload();
    await soon(() => text(page)).toBe(first);
    // With its probabilities.
    await page.locator("[data-t='3']").waitFor();
    expect(await titles.count()).toBe(2);

    await titles.filter({ hasText: "Another" }).hover();
    await list.getByRole("button", { name: "Rename: Another text" }).click();
    await list.getByRole("textbox", { name: "Title" }).fill("The second");
    await page.keyboard.press("Enter");
    await titles.filter({ hasText: "The second" }).click();
    await soon(() => text(page)).toBe("Another text");
    const [download] = await Promise.all([page.waitForEvent("download"), button(page, "Export all").click()]);
    expect(download.suggestedFilename()).toBe("fovea-conversations.json");
    await titles.filter({ hasText: "The second" }).hover();
    await list.getByRole("button", { name: "Delete: The second" }).click();
    await list.getByRole("button", { name: "Delete", exact: true }).click();
    await titles.filter({ hasText: "The second" }).waitFor({ state: "detached" });
    await page.locator("input[type=file]").setInputFiles(await download.path());
    await titles.nth(2).waitFor();
    await page.reload();
    await titles.filter({ hasText: "The second" }).click();
    await soon(() => text(page)).toBe("Another text");
  });
});
