/** A talk with the model that ships, given a chat template: it answers nothing sensible, and that is not asked here. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, expect, it } from "vitest";
import { withTemplate } from "../../bench/talking.mjs";
import { asked, inBrowser, site, slow, soon } from "./site.ts";

inBrowser("a talk", () => {
  const folder = mkdtempSync(join(tmpdir(), "fovea-page-"));
  const { visit } = site(async () => {
    const model = join(folder, "talking.gguf");
    await withTemplate(fileURLToPath(new URL("../../models/default/model.gguf", import.meta.url)), model);
    return ["--model", model];
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name, exact: true });
  const answer = (page: Page) => page.locator(".answer").last();
  const answered = (page: Page) =>
    page.locator(".answer").last().and(page.locator("[aria-busy=false]")).waitFor();
  const said = async (page: Page) => (await answer(page).locator(".markdown").textContent())!;
  const ask = async (page: Page, text: string) => {
    await page.getByRole("textbox", { name: "Message" }).fill(text);
    await button(page, "Send").and(page.locator(":enabled")).waitFor();
    await page.keyboard.press("Enter");
  };
  const short = async (page: Page) => {
    await button(page, "Settings").click();
    await page.getByRole("spinbutton", { name: "Length", exact: true }).fill("12");
    await page.getByRole("textbox", { name: "System prompt" }).fill("Tell of the sea.");
    await page.locator(".panel.end").getByRole("button", { name: "Close: Settings" }).click();
  };

  it("is asked with its system prompt, tried again, asked otherwise, and kept", async () => {
    const page = await visit();
    const asks = asked(page, "/v1/chat/completions");
    await page.getByRole("heading", { name: "Ask something." }).waitFor();
    await short(page);
    await ask(page, "What is it?");
    await answered(page);
    expect(asks[0]).toMatchObject({
      max_completion_tokens: 12,
      messages: [
        { role: "system", content: "Tell of the sea." },
        { role: "user", content: "What is it?" },
      ],
    });
    const first = await said(page);
    await button(page, "Answer again").click();
    await page.getByText("2/2").waitFor();
    await answered(page);
    const second = await said(page);
    expect(second).not.toBe(first);
    await button(page, "Earlier version").click();
    await soon(() => said(page)).toBe(first);

    await page.locator(".said").hover();
    await button(page, "Edit message").click();
    await page.getByRole("textbox", { name: "Edit your message" }).fill("What else?");
    await page.keyboard.press("Enter");
    await page.locator(".user").getByText("2/2").waitFor();
    await answered(page);
    expect(asks[2]).toMatchObject({
      messages: [{ role: "system" }, { role: "user", content: "What else?" }],
    });
    await ask(page, "And then?");
    await soon(() => page.locator(".answer").count()).toBe(2);
    await answered(page);
    expect(asks[3]!.messages).toHaveLength(4);

    const last = await said(page);
    await page.reload();
    await soon(() => page.locator(".answer").count()).toBe(2);
    expect(await said(page)).toBe(last);
    await page.locator(".user").first().hover();
    await page.locator(".user").first().getByRole("button", { name: "Earlier version" }).click();
    await soon(() => page.locator(".answer").count()).toBe(1);
    // A branch shows the newest of its ends.
    expect(await said(page)).toBe(second);
  });

  it("takes settings faster than the page is drawn", async () => {
    const page = await visit();
    const asks = asked(page, "/v1/chat/completions");
    await button(page, "Settings").click();
    await page.locator("#system").waitFor();
    await page.evaluate(() => {
      for (const [id, value] of [
        ["setting-maxTokens", "3"],
        ["setting-seed", "7"],
      ] as const) {
        const field = document.getElementById(id) as HTMLInputElement;
        field.value = value;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      }
    });
    // Written and sent at once, and sent again before it is seen that the model answers.
    await page.evaluate(() => {
      const field = document.getElementById("text") as HTMLTextAreaElement;
      field.value = "What is it?";
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      for (let i = 0; i < 2; i++)
        field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    });
    await answered(page);
    expect(asks).toHaveLength(1);
    expect(asks[0]).toMatchObject({
      ...{ max_completion_tokens: 3, seed: 7 },
      messages: [{ role: "user", content: "What is it?" }],
    });
  });

  it("streams, is stopped and continued, and its tokens are gone through with arrow keys", async () => {
    const page = await visit();
    await slow(page, 50_000);
    await ask(page, "What is it?");
    await soon(async () => (await said(page)).length).toBeGreaterThan(5);
    const some = await said(page);
    await soon(async () => (await said(page)).length).toBeGreaterThan(some.length);
    await button(page, "Stop").click();
    await answered(page);
    const stopped = await said(page);
    expect(stopped.startsWith(some)).toBe(true);
    await answer(page)
      .getByText(/stopped$/)
      .waitFor();

    const tokens = page.getByRole("group", { name: /^Answer; arrow keys/ });
    await tokens.focus();
    await tokens.press("ArrowRight");
    await page.locator(".card").waitFor();
    const token = page.locator("[data-t]");
    for (const [key, at] of [
      ["ArrowRight", 1],
      ["ArrowLeft", 0],
      ["End", -1],
    ] as const) {
      await tokens.press(key);
      await token.nth(at).and(page.locator(".pointed")).waitFor();
      const name = await token.nth(at).textContent();
      await page
        .getByRole("status")
        .filter({ hasText: name!.trim() })
        .filter({ hasText: "%" })
        .first()
        .waitFor();
    }
    await tokens.press("Escape");
    await page.locator(".card").waitFor({ state: "detached" });
    await page.locator(".answer [data-t]").first().hover();
    await page.locator(".card").waitFor();

    await button(page, "Continue the answer").click();
    await soon(async () => (await said(page)).length).toBeGreaterThan(stopped.length);
    await page.keyboard.press("Escape");
    await answered(page);
    expect((await said(page)).startsWith(stopped)).toBe(true);
  });
});
