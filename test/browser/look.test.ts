/** How the page looks, on desk and phone, in light and dark, and to those who do not see it or have no mouse. */
import axe, { type AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { desktop, inBrowser, phone, site, soon } from "./site.ts";

/** Violations that axe finds, serious or critical, as lines: of contrast alone, or of all else. */
async function violations(page: Page, contrast: boolean): Promise<string[]> {
  const found = await page.evaluate(async (contrast) => {
    const { run } = (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe;
    const options = { resultTypes: ["violations"], preload: false };
    const rule = "color-contrast";
    if (!contrast) return (await run({ ...options, rules: { [rule]: { enabled: false } } })).violations;
    // A field lies above the letters that are drawn, and axe could not see them.
    const field = document.querySelector<HTMLElement>(".editor textarea");
    if (field) field.style.visibility = "hidden";
    const { violations } = await run({ ...options, runOnly: [rule] });
    if (field) field.style.visibility = "";
    return violations;
  }, contrast);
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`),
    );
}

/** What sticks out at the right and is in no place that scrolls by itself. */
const tooWide = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const scrolls = (element: Element | null): boolean =>
      element !== null &&
      (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
    const { scrollWidth, clientWidth } = document.documentElement;
    return [
      ...(scrollWidth > clientWidth ? [`the page is ${scrollWidth} wide`] : []),
      ...[...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > clientWidth + 0.5 && !scrolls(one.parentElement))
        .map((one) => `${one.tagName} ${one.className}`),
    ];
  });

/** Names of what can be used, in the order of the page, and of what the tab key reaches. */
async function tabbing(page: Page): Promise<{ usable: string[]; reached: string[] }> {
  const usable = await page.evaluate(() => {
    const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
    const all = place.querySelectorAll<HTMLElement>(
      "a[href], button, input, select, textarea, summary, [tabindex='0']",
    );
    return (
      [...all]
        .filter((one) => !one.matches(":disabled") && one.checkVisibility({ visibilityProperty: true }))
        // Of radio buttons the chosen one is reached, and the others by arrows.
        .filter((one) => !one.matches("[type=radio]:not(:checked)"))
        .map((one, i) => {
          one.dataset.use = String(i);
          delete one.dataset.reached;
          return `${i} ${one.tagName} ${one.getAttribute("aria-label") ?? one.id} ${one.textContent}`.slice(
            0,
            60,
          );
        })
    );
  });
  await page.evaluate(() => {
    (document.activeElement as HTMLElement | null)?.blur();
    addEventListener("focusin", ({ target }) => {
      (target as HTMLElement).dataset.reached = "";
    });
  });
  for (let i = 0; i <= usable.length + 1; i++) await page.keyboard.press("Tab");
  const reached = await page.locator("[data-use]").evaluateAll((all) =>
    all.flatMap(({ dataset }) => {
      const { use, reached } = dataset;
      delete dataset.use;
      return reached === undefined ? [] : [Number(use)];
    }),
  );
  return { usable, reached: reached.map((i) => usable[i]!) };
}

const sizes = {
  desk: { viewport: desktop },
  phone: { viewport: phone, hasTouch: true, isMobile: true },
} as const;

inBrowser("the page", () => {
  const { visit } = site();
  const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name });
  const fine = async (page: Page) => {
    expect(await violations(page, false)).toEqual([]);
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await violations(page, true), colorScheme).toEqual([]);
    }
    expect(await tooWide(page)).toEqual([]);
    const { usable, reached } = await tabbing(page);
    expect(usable).not.toEqual([]);
    expect(reached).toEqual(usable);
  };

  for (const [size, look] of Object.entries(sizes))
    it(`is readable in light and dark, narrow enough, and all within reach: ${size}`, async () => {
      const page = await visit(look);
      await page.evaluate(axe.source);
      await page.getByRole("heading", { name: "Begin a page." }).waitFor();
      await fine(page);
      await page.locator(".welcome button").first().click();
      await button(page, "Continue").and(page.locator(":enabled")).waitFor();
      await fine(page);
      await button(page, "Settings").click();
      await page.getByText("Tinted", { exact: true }).click();
      await page.getByRole("slider", { name: "Temperature" }).fill("1.5");
      await fine(page);
      await button(page, "Close: Settings").click();
      if (size === "phone") {
        // The focus goes back to what had opened it.
        await page.locator("[aria-label^=Settings]:focus").waitFor();
        await button(page, "Conversations").click();
        await fine(page);
      }
      await button(page, "Keyboard").click();
      await fine(page);
      await page.keyboard.press("Escape");

      await page.goto(page.url().replace(/#.*/, "#room"));
      await page.getByText("Nothing runs, nothing waits.").waitFor();
      await button(page, "Make load").click();
      await page.getByText("As a table").click();
      await soon(() => page.getByRole("row").count()).toBeGreaterThan(3);
      // Nothing moves while it is looked at.
      await button(page, "Pause").click();
      await button(page, "Stop the load").click();
      await fine(page);
    });

  it("is light or dark as the system is, or as its reader wants it", async () => {
    const page = await visit({ colorScheme: "dark" });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = "rgb(20, 22, 26)";
    const light = "rgb(250, 249, 246)";
    expect(await ground()).toBe(dark);
    await button(page, "Theme: as the system").click();
    await button(page, "Theme: light").waitFor();
    expect(await ground()).toBe(light);
    await page.reload();
    await button(page, "Theme: light").waitFor();
    expect(await ground()).toBe(light);
    await button(page, "Theme: light").click();
    await button(page, "Theme: dark").click();
    await button(page, "Theme: as the system").waitFor();
    await page.emulateMedia({ colorScheme: "light" });
    expect(await ground()).toBe(light);
  });
});
