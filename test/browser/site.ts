/**
 * The page as it is built and served, in a browser as it is installed. Whoever visits is watched: a message of the
 * console that is an error or a warning (the content security policy's too), an exception, an answer of 400 or more
 * and a request to anywhere else fail the test. Where there is no browser the tests are skipped.
 */
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect } from "vitest";
import { type Server, startServer } from "../../bench/server.mjs";
import { findBrowser } from "../../scripts/browser.mjs";

const executablePath = findBrowser();
if (executablePath === undefined)
  console.warn(
    "no browser found: the tests of the page in a browser are skipped (install Chromium, or set FOVEA_BROWSER)",
  );

export const inBrowser = describe.skipIf(executablePath === undefined);

export const desktop = { width: 1280, height: 720 };
export const phone = { width: 390, height: 844 };

/** Milliseconds to wait for what should be there at once on an idle machine. */
const patience = 60_000;

export interface Site {
  /** A new visitor, with nothing kept from others, on the page at this address. */
  visit(options?: BrowserContextOptions, hash?: string): Promise<Page>;
  /** The problems that match are meant to be, for the rest of the test. */
  forgive(what: RegExp): void;
}

/** Starts browser and server for the tests of a block. */
export function site(flags: () => Promise<readonly string[]> = async () => []): Site {
  let browser: Browser;
  let server: Server;
  const visitors: BrowserContext[] = [];
  const problems: string[] = [];
  const forgiven: RegExp[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath! });
    server = await startServer(["--no-packed-cache", ...(await flags())]);
  });
  afterEach(async () => {
    const meant = forgiven.splice(0);
    const seen = problems.splice(0).filter((problem) => !meant.some((what) => what.test(problem)));
    await Promise.all(visitors.splice(0).map((visitor) => visitor.close()));
    expect(seen).toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    expect(await server?.stop()).toBe(0);
  });

  return {
    forgive: (what) => void forgiven.push(what),
    async visit(options = {}, hash = "") {
      const visitor = await browser.newContext({ viewport: desktop, baseURL: server.url, ...options });
      visitors.push(visitor);
      visitor.setDefaultTimeout(patience);
      const page = await visitor.newPage();
      watch(page, server.url, problems);
      await page.goto(`/${hash}`);
      // It knows its model, or why it does not, and so it listens to keys too.
      await page.locator(".tiles, .toolbar .model, .failure").first().waitFor();
      return page;
    },
  };
}

function watch(page: Page, home: string, problems: string[]): void {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== home)
      problems.push(`asked elsewhere: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.status()} from ${response.url()}`);
  });
}

/** Expects of what is looked at again and again that it will be so. */
export const soon = <T>(look: () => Promise<T>) => expect.poll(look, { timeout: patience, interval: 20 });

/** Lets only so many bytes a second come in: what streams can be looked at while it does. */
export async function slow(page: Page, bytes: number): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.emulateNetworkConditions", {
    ...{ offline: false, latency: 0, downloadThroughput: bytes, uploadThroughput: -1 },
  });
}

/** What the page asks of this path, request by request, as fields. */
export function asked(page: Page, path: string): Record<string, unknown>[] {
  const bodies: Record<string, unknown>[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).pathname === path) bodies.push(request.postDataJSON());
  });
  return bodies;
}
