/** How the page looks, on desk and phone, in light and dark, and to those who do not see it or have no mouse. */
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { desktop, inBrowser, phone, site, soon } from "./site.ts";

/** Violations that axe finds, serious or critical, as lines. */
async function violations(page: Page): Promise<string[]> {
  const found = await page.evaluate(async () => {
    // A field lies above the letters that are drawn, and axe could not see them.
    const field = document.querySelector<HTMLElement>(".editor textarea");
    const { run } = (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe;
    const options = { resultTypes: ["violations"], preload: false };
    const whole = await run(options);
    if (field) field.style.visibility = "hidden";
    const letters = field ? (await run({ ...options, runOnly: ["color-contrast"] })).violations : [];
    if (field) field.style.visibility = "";
    return [...whole.violations, ...letters];
  });
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
          return `${i} ${one.tagName} ${one.getAttribute("aria-label") ?? one.id} ${one.textContent}`.slice(
            0,
            60,
          );
        })
    );
  });
  const reached = new Set<number>();
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  for (let i = 0; i <= usable.length + 1; i++) {
    await page.keyboard.press("Tab");
    const use = await page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset.use);
    if (use !== undefined) reached.add(Number(use));
  }
  return { usable, reached: [...reached].sort((a, b) => a - b).map((i) => usable[i]!) };
}

const looks = [
  ["desk", "light", desktop],
  ["desk", "dark", desktop],
  ["phone", "light", phone],
  ["phone", "dark", phone],
] as const;

inBrowser("the page", () => {
  const { visit } = site();
  const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name });
  const fine = async (page: Page, colorScheme: "light" | "dark") => {
    expect(await violations(page)).toEqual([]);
    // Colours change neither widths nor what is reached.
    if (colorScheme === "dark") return;
    expect(await tooWide(page)).toEqual([]);
    const { usable, reached } = await tabbing(page);
    expect(usable).not.toEqual([]);
    expect(reached).toEqual(usable);
  };

  for (const [size, colorScheme, viewport] of looks) {
    it(`is readable, narrow enough and all within reach: ${size}, ${colorScheme}`, async () => {
      const page = await visit({
        colorScheme,
        viewport,
        ...(size === "phone" && { hasTouch: true, isMobile: true }),
      });
      await page.getByRole("heading", { name: "Begin a page." }).waitFor();
      await fine(page, colorScheme);
      await page.locator(".welcome button").first().click();
      await button(page, "Continue").and(page.locator(":enabled")).waitFor();
      await fine(page, colorScheme);
      await button(page, "Settings").click();
      await page.getByText("Tinted").click();
      await page.getByRole("slider", { name: "Temperature" }).fill("1.5");
      await fine(page, colorScheme);
      await button(page, "Close: Settings").click();
      // The focus goes back to what had opened it.
      if (size === "phone") await page.locator("[aria-label^=Settings]:focus").waitFor();
      if (size === "phone") await button(page, "Conversations").click();
      await fine(page, colorScheme);
      await button(page, "Keyboard").click();
      await fine(page, colorScheme);
      await page.keyboard.press("Escape");

      await page.goto(page.url().replace(/#.*/, "#room"));
      await page.getByText("Nothing runs, nothing waits.").waitFor();
      await button(page, "Make load").click();
      await page.getByText("As a table").click();
      await soon(() => page.getByRole("row").count()).toBeGreaterThan(3);
      await fine(page, colorScheme);
    });
  }

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
