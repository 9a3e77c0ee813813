/** Profiles and prices through the command line: of a model here, and of one behind an API. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { checkPrices } from "../../src/cli/price/check.ts";
import { takeProfile } from "../../src/cli/price/profile.ts";
import { refuseNoise, timeInRounds } from "../../src/cli/price/rounds.ts";
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
// A model that takes microseconds is noisy.
const bench = ["bench", "--model", "x", "--profile", "--runs", "2", "--noisy"];
const price = ["price", "--model", "x", "--prompt-tokens", "100", "--gen-tokens", "20"];

const onProgress = (): void => {};

describe("rounds", () => {
  it("time all requests equally often after a warm-up, and keep the least of each", async () => {
    const requests = [5, 10, 20, 40].map((prompt) => ({ prompt, output: 2 }));
    const asked: number[] = [];
    const { times } = await timeInRounds(requests, {
      repeats: 6,
      onProgress,
      time: async (prompt) => {
        asked.push(prompt);
        return prompt + 100 * ((asked.length * 7) % 5);
      },
    });
    const counted = asked.slice(-24);
    const rounds = Array.from({ length: 6 }, (_, i) => counted.slice(4 * i, 4 * i + 4));
    for (const round of rounds) expect([...round].sort((a, b) => a - b)).toEqual([5, 10, 20, 40]);
    expect(new Set(rounds.map(String)).size).toBeGreaterThan(2);
    expect(asked.length - 24).toBeGreaterThan(100);
    expect(asked.slice(0, -24)).not.toContain(40);
    for (const { prompt, ms } of times) {
      expect((ms - prompt) % 100).toBe(0);
      expect(ms).toBeLessThan(300);
    }
  });

  it("are refused where the least times stand alone", async () => {
    const noiseOf = async (factors: readonly number[]): Promise<number> => {
      const often = new Map<number, number>();
      const requests = [1, 2, 3].map((prompt) => ({ prompt, output: 1 }));
      const time = async (prompt: number): Promise<number> => {
        often.set(prompt, (often.get(prompt) ?? 0) + 1);
        return 10 * prompt * factors[often.get(prompt)! % factors.length]!;
      };
      return (await timeInRounds(requests, { time, repeats: factors.length, onProgress })).noise;
    };
    // Half of all repeats may be disturbed by much.
    const calm = await noiseOf([1, 1.02, 3, 5]);
    expect(calm).toBeCloseTo(0.02, 10);
    expect(() => refuseNoise(calm)).not.toThrow();
    const loud = await noiseOf([1, 1.3, 1.4, 1.3]);
    expect(loud).toBeCloseTo(0.3, 10);
    expect(() => refuseNoise(loud)).toThrow(/too noisy: .* 30.0 % below all others; .*--noisy/);
  });
});

describe("a profile", () => {
  it("times requests of their own for each length of prompt and output", async () => {
    const asked = new Set<string>();
    const { model, times } = await takeProfile({
      context: 128,
      repeats: 2,
      onProgress,
      time: async (prompt, output) => {
        asked.add(`${prompt} ${output}`);
        return prompt + 2 * output;
      },
    });
    const prompts = [1, 2, 3, 5, 8, 13, 21, 30, 43, 60];
    expect(asked).toEqual(new Set(prompts.flatMap((p) => [1, 16, 64].map((o) => `${p} ${o}`))));
    expect(times).toHaveLength(30);
    expect(model.firstToken).toEqual(prompts.map((prompt) => ({ prompt, ms: prompt + 2 })));
    expect(model.linear.perToken).toBeCloseTo(2, 10);
  });

  it("keeps to the longest lengths that it is given", async () => {
    const { times } = await takeProfile({
      ...{ context: 1024, repeats: 2, onProgress, longest: { prompt: 10, output: 8 } },
      time: async (prompt, output) => prompt + output,
    });
    const lengths = times.map(({ prompt, output }) => `${prompt} ${output}`);
    expect(lengths).toEqual([1, 2, 3, 5, 8].flatMap((p) => [1, 2, 8].map((o) => `${p} ${o}`)));
  });

  it("is kept, and priced by the same model only", async () => {
    const missing = await cli(price);
    expect(missing.code).toBe(1);
    expect(missing.err).toMatch(/no profile of fake on none .*fovea bench --profile/);
    const taken = await cli([...bench, "--json"]);
    expect(taken.code).toBe(0);
    const { file, model } = JSON.parse(taken.out) as { file: string; model: { firstToken: object[] } };
    expect(model.firstToken.length).toBeGreaterThan(5);
    const told = await cli([...price, "--per-hour", "2", "--watts", "50"]);
    expect(told.out).toMatch(/first token +[\d.]+ ms\ntotal +[\d.]+ ms +then .* tokens\/s/);
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
    const check = ["price", "--model", "x", "--check", "10", "--runs", "2", "--noisy"];
    const { medianError, p95Error, ...report } = JSON.parse((await cli([...check, "--json"])).out);
    expect(report).toMatchObject({ requests: 10, repeats: 2 });
    expect(medianError).toBeGreaterThanOrEqual(0);
    expect(medianError).toBeLessThanOrEqual(p95Error);
    expect((await cli(check)).out).toMatch(/requests +10 .*2 times each\nerror .*%.*\nmean .*%.*\nnoise .*%/);
    const short = ["--prompt-tokens", "4", "--gen-tokens", "3", "--json"];
    const { times } = JSON.parse((await cli([...check, ...short])).out) as {
      times: { prompt: number; output: number }[];
    };
    expect(Math.max(...times.map(({ prompt }) => prompt))).toBeLessThanOrEqual(4);
    expect(Math.max(...times.map(({ output }) => output))).toBeLessThanOrEqual(3);
  });

  it("is as far off as the least of a request's times is from its price", async () => {
    const model = fitRuntime(
      [1, 64].flatMap((prompt) => [1, 2, 4].map((output) => ({ prompt, output, ms: 10 + output - 1 }))),
    );
    const often = new Map<string, number>();
    const found = await checkPrices({
      model,
      // Each time another factor; the least is 1.25.
      time: async (prompt, output) => {
        const key = `${prompt} ${output}`;
        often.set(key, (often.get(key) ?? 0) + 1);
        return (10 + output - 1) * [1.25, 2, 4][often.get(key)! % 3]!;
      },
      ...{ requests: 20, repeats: 3, limit: 128, seed: 0, onProgress },
    });
    for (const error of [found.medianError, found.p95Error, found.meanError])
      expect(error).toBeCloseTo(0.2, 10);
  });

  it("of a context that is too short is refused", async () => {
    const { code, err } = await cli(bench, fakeModel({ contextLength: 64 }));
    expect([code, err]).toEqual([1, expect.stringContaining("context of 64; change")]);
  });
});

describe("behind an API", () => {
  it("the same is timed by requests, and told", async () => {
    const served = model();
    const server = await listen(createApp(served), { host: "127.0.0.1", port: 0 });
    try {
      const { code, out } = await runCli([
        ...["bench", "--profile", "--url", `${server.url}/v1`, "--runs", "2", "--noisy"],
        ...["--prompt-tokens", "5", "--gen-tokens", "8"],
      ]);
      expect(code).toBe(0);
      expect(out).toMatch(/a token +-?[\d.]+ ms \+ -?[\d.]+ µs for each token before it/);
      expect(out).not.toContain("kept in");
      const lengths = new Set(
        served.calls.map(({ prompt, options }) => `${prompt.length} ${options.maxTokens}`),
      );
      expect(lengths).toEqual(new Set([1, 2, 3, 5].flatMap((p) => [1, 2, 8].map((o) => `${p} ${o}`))));
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
        expect.stringMatching(/counts 1 and 3 tokens where \d+ and \d+ were asked for/),
      ]);
    } finally {
      await server.close(0);
    }
  });
});
