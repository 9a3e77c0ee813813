/** What the page does when it is refused something: it says so, and asks for what is missing. */
import { expect, it } from "vitest";
import { inBrowser, site } from "./site.ts";

inBrowser("a page that is refused", () => {
  const { visit, forgive } = site(async () => ["--api-key", "secret"]);

  it("asks for the key, and keeps it as long as the tab", async () => {
    forgive(/401/);
    const page = await visit();
    const key = page.getByLabel(/^API key/);
    const model = page.getByText("default", { exact: true });
    await key.fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("code invalid_api_key").waitFor();
    await key.fill("secret");
    await page.keyboard.press("Enter");
    await model.waitFor();
    expect(await page.getByRole("alert").count()).toBe(0);
    await page.reload();
    await model.waitFor();
    await page.getByRole("link", { name: "Engine room" }).click();
    await page.getByText("Nothing runs, nothing waits.").waitFor();
    expect(await page.evaluate(() => JSON.stringify({ ...localStorage }))).not.toContain("secret");
  });

  it("says that the engine room did not come, and tries again", async () => {
    forgive(/401|ERR_FAILED/);
    const page = await visit();
    await page.route("**/assets/room*", (route) => route.abort());
    await page.getByRole("link", { name: "Engine room" }).click();
    await page.getByText(/^The engine room could not be loaded: /).waitFor();
    await page.unroute("**/assets/room*");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByRole("heading", { name: "Engine room" }).waitFor();
  });
});
