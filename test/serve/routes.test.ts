/** What the server tells of itself, whom it refuses, and its page. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { loadAssets } from "../../src/serve/assets.ts";
import { type ErrorShape, server, textPath } from "../support/app.ts";
import { fakeModel } from "../support/fake-model.ts";

describe("routes", () => {
  it("answers /health and lists its model", async () => {
    const { app } = server();
    expect(await (await app.request("http://localhost/health")).json()).toEqual({
      status: "ok",
      model: "fake",
    });
    const list = await (await app.request("http://localhost/v1/models")).json();
    expect(list).toMatchObject({
      object: "list",
      data: [{ id: "fake", object: "model", owned_by: "fovea", context_length: 128, chat: true }],
    });
    expect((await app.request("http://localhost/v1/models/fake")).status).toBe(200);
    expect((await app.request("http://localhost/v1/models/org/other")).status).toBe(404);
  });

  it("tells what is not here as JSON", async () => {
    const { app } = server();
    for (const [method, path] of [
      ["GET", "/v1/nothing"],
      ["POST", "/v1/embeddings"],
      ["DELETE", "/v1/models/fake"],
    ]) {
      const response = await app.request(`http://localhost${path}`, { method: method! });
      expect(response.status).toBe(404);
      expect(((await response.json()) as ErrorShape).error.code).toBe("not_found");
    }
  });

  it("refuses a model without a tokenizer", () => {
    expect(() => createApp(fakeModel({ tokenizer: false }))).toThrow(/tokenizer/);
  });

  it("refuses foreign hosts and pages, unless it serves a network", async () => {
    const { app } = server();
    expect((await app.request("http://attacker.example/v1/models")).status).toBe(403);
    const from = (origin: string) => app.request("http://127.0.0.1:8080/health", { headers: { origin } });
    expect((await from("https://attacker.example")).status).toBe(403);
    expect((await from("null")).status).toBe(403);
    expect((await from("http://localhost:5173")).status).toBe(200);
    const open = server({}, { loopback: false });
    expect((await open.app.request("http://box.lan/v1/models")).status).toBe(200);
  });

  it("limits the body", async () => {
    const { send } = server({}, { maxBody: 100 });
    expect((await send(textPath, { prompt: "x".repeat(200) })).status).toBe(413);
  });

  it("does not tell a client about a bug, but its log", async () => {
    const { app, errors, model } = server();
    model.describe = () => {
      throw new TypeError("secret");
    };
    const response = await app.request("http://localhost/v1/models");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(errors).toHaveLength(1);
  });

  it("serves no page that was not built, and says so", async () => {
    const { app } = server({}, { assets: loadAssets("/no/such/folder") });
    expect(await (await app.request("http://localhost/")).text()).toContain("the page was not built");
  });
});

describe("the page", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fovea-page-"));
    await mkdir(join(folder, "assets"));
    await writeFile(join(folder, "index.html"), "<!doctype html><title>Page</title>");
    await writeFile(join(folder, "assets", "index-abc.js"), "1");
    await writeFile(join(folder, "notes.txt"), "not served");
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("is served with its types, its policy and its caching", async () => {
    const { app } = server({}, { assets: loadAssets(folder) });
    const get = (path: string, headers = {}) => app.request(`http://localhost${path}`, { headers });
    const page = await get("/");
    expect(await page.text()).toContain("<title>Page");
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const again = await get("/", { "if-none-match": page.headers.get("etag") });
    expect(again.status).toBe(304);
    const script = await get("/assets/index-abc.js");
    expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(script.headers.get("cache-control")).toContain("immutable");
    for (const path of ["/notes.txt", "/../package.json", "/assets/%2e%2e/notes.txt", "/constructor"])
      expect((await get(path)).status, path).toBe(404);
  });
});
