/** Profiles and prices through the command line: of a model here, and of one behind an API. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { checkPrices } from "../../src/cli/price/check.ts";
import { takeProfile } from "../../src/cli/price/profile.ts";
import { fitRuntime } from "../../src/pricing/runtime.ts";
import { createApp } from "../../src/serve/app.ts";
import { listen } from "../../src/serve/listen.ts";
import { fakeModel } from "../support/fake-model.ts";
import { opening, runCli } from "../support/run-cli.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-price-"));
  vi.stubEnv("XDG_CACHE_HOME", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const model = () => fakeModel({ contextLength: 256 });
const cli = (argv: string[], served = model()) => runCli(argv, { services: opening(served) });
const bench = ["bench", "--model", "x", "--profile", "--runs", "2"];
const price = ["price", "--model", "x", "--prompt-tokens", "100", "--gen-tokens", "20"];

describe("a profile", () => {
  it("times every length as often as it is told, in rounds, after one that does not count", async () => {
    const asked: number[] = [];
    const profile = await takeProfile({
      context: 128,
      repeats: 3,
      onProgress: () => {},
      time: async (prompt, outputs) => {
        asked.push(prompt);
        const slow = asked.length <= 4 ? 1000 : 0;
        return outputs.map((output) => slow + prompt + 2 * output);
      },
    });
    expect(asked).toEqual(Array.from({ length: 4 }, () => [1, 16, 32, 64]).flat());
    expect(profile.idealized.firstToken).toEqual([1, 16, 32, 64].map((p) => ({ prompt: p, ms: p + 2 })));
    expect(profile.idealized.linear.perToken).toBeCloseTo(2, 10);
  });

  it("is kept, and priced by the same model only", async () => {
    const missing = await cli(price);
    expect(missing.code).toBe(1);
    expect(missing.err).toMatch(/no profile of fake on none .*fovea bench --profile/);
    const taken = await cli([...bench, "--json"]);
    expect(taken.code).toBe(0);
    const { file, idealized } = JSON.parse(taken.out) as {
      file: string;
      idealized: { firstToken: object[] };
    };
    expect(idealized.firstToken.length).toBeGreaterThan(5);
    const told = await cli([...price, "--per-hour", "2", "--watts", "50"]);
    expect(told.out).toMatch(/first token +[\d.]+ ms\ntotal +[\d.]+ ms +then .* at best/);
    expect(told.out).toMatch(/cost .*\nenergy .* Wh/);
    const json = JSON.parse((await cli([...price, "--json"])).out);
    expect(json).toMatchObject({ prompt_tokens: 100, gen_tokens: 20, extrapolated: false });
    const other = fakeModel({ contextLength: 256 });
    const changed = { ...other, describe: () => ({ ...other.describe(), device: "another" }) };
    expect((await runCli(price, { services: opening(changed) })).err).toMatch(
      /no profile of fake on another/,
    );
    await writeFile(file, "{");
    expect((await cli(price)).err).toMatch(/is broken; take the profile again/);
    expect(await readdir(join(folder, "fovea", "profiles"))).toHaveLength(1);
  });

  it("is checked against requests that it has not seen", async () => {
    await cli(bench);
    const check = ["price", "--model", "x", "--check", "10", "--runs", "2"];
    const report = JSON.parse((await cli([...check, "--json"])).out);
    expect(report).toMatchObject({ requests: 10, repeats: 2 });
    for (const form of ["idealized", "denoised"]) {
      const { medianError, p95Error } = report[form];
      expect(medianError).toBeGreaterThanOrEqual(0);
      expect(medianError).toBeLessThanOrEqual(p95Error);
    }
    expect((await cli(check)).out).toMatch(/requests +10 +2 times each.*\nerror .*%.*\nat best .*%/);
  });

  it("compares the median of a request's times, and the least of them, each with its own prices", async () => {
    const flat = fitRuntime(
      [1, 64].flatMap((prompt) => [1, 2, 4].map((output) => ({ prompt, output, ms: 10 + output - 1 }))),
    );
    const half = fitRuntime(
      [1, 64].flatMap((prompt) => [1, 2, 4].map((output) => ({ prompt, output, ms: (10 + output - 1) / 2 }))),
    );
    let asked = 0;
    const found = await checkPrices({
      profile: { idealized: flat, denoised: half },
      // Each round another factor: 1, 0.5, 3.
      time: async (_, [output = 1]) => [(10 + output - 1) * [1, 0.5, 3][Math.floor(asked++ / 20)]!],
      ...{ requests: 20, repeats: 3, limit: 128, seed: 0, onProgress: () => {} },
    });
    for (const { medianError, p95Error } of [found.idealized, found.denoised]) {
      expect(medianError).toBeCloseTo(0, 10);
      expect(p95Error).toBeCloseTo(0, 10);
    }
  });

  it("of a context that is too short is refused", async () => {
    const { code, err } = await cli(bench, fakeModel({ contextLength: 64 }));
    expect([code, err]).toEqual([1, expect.stringContaining("context of 64 is too short")]);
  });
});

describe("behind an API", () => {
  it("the same is timed by requests, and told", async () => {
    const served = model();
    const server = await listen(createApp(served), { host: "127.0.0.1", port: 0 });
    try {
      const { code, out } = await runCli(["bench", "--profile", "--url", `${server.url}/v1`, "--runs", "1"]);
      expect(code).toBe(0);
      expect(out).toMatch(/a token +-?[\d.]+ ms \+ -?[\d.]+ µs for each token before it/);
      expect(out).not.toContain("kept in");
      const lengths = new Set(
        served.calls.map(({ prompt, options }) => `${prompt.length} ${options.maxTokens}`),
      );
      expect(lengths).toContain("192 64");
      expect(served.calls.every(({ options }) => options.ignoreEnd && options.temperature === 0)).toBe(true);
    } finally {
      await server.close(0);
    }
  });

  it("a server that counts otherwise is refused", async () => {
    const app = createApp(model());
    const lying = new Proxy(app, {
      get: (target, name) =>
        name === "fetch"
          ? async (...args: Parameters<typeof app.fetch>) => {
              const response = await target.fetch(...args);
              if (!args[0].url.endsWith("completions")) return response;
              const body = (await response.json()) as object;
              return Response.json({ ...body, usage: { prompt_tokens: 1, completion_tokens: 3 } });
            }
          : Reflect.get(target, name),
    });
    const server = await listen(lying, { host: "127.0.0.1", port: 0 });
    try {
      const { code, err } = await runCli(["bench", "--profile", "--url", `${server.url}/v1`]);
      expect([code, err]).toEqual([
        1,
        expect.stringMatching(/counts 1 and 3 tokens where 1 and 1 were asked for/),
      ]);
    } finally {
      await server.close(0);
    }
  });
});
