/** What each command prints, over a model whose answers are known. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatChoices } from "../../../src/cli/commands/quantize.ts";
import type { Input } from "../../../src/cli/io.ts";
import { run } from "../../../src/cli/run.ts";
import { services } from "../../../src/cli/services.ts";
import { formats } from "../../../src/format/index.ts";
import { type FakeOptions, fakeModel } from "../../support/fake-model.ts";
import { opening, type RunOptions, runCli } from "../../support/run-cli.ts";
import { haveShared, shared } from "../../support/shared.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-cli-"));
});
afterAll(() => rm(folder, { recursive: true }));

function cli(fake: FakeOptions = {}) {
  const model = fakeModel(fake);
  const runs = (argv: readonly string[], options: RunOptions = {}) =>
    runCli(argv, { services: opening(model), ...options });
  return { model, runs };
}

describe("generate", () => {
  it("prints the text as it comes", async () => {
    const { runs, model } = cli();
    const { code, out, err } = await runs(["generate", "--model", "x", "--prompt", "Say"]);
    expect({ code, out, err }).toEqual({ code: 0, out: "Hello, world! Grüße 🌍.\n", err: "" });
    expect(model.calls[0]?.prompt).toEqual([256, 83, 97, 121]);
    expect(model.closed).toBe(true);
  });

  it("prints one JSON object", async () => {
    const { runs } = cli();
    const argv = [
      "generate",
      "--model",
      "x",
      "--prompt",
      "a",
      "--max-tokens",
      "5",
      "--temperature",
      "0",
      "--json",
    ];
    const report = JSON.parse((await runs(argv)).out);
    expect(report).toMatchObject({
      text: "Hello",
      tokens: [72, 101, 108, 108, 111],
      prompt_tokens: 2,
      finish_reason: "length",
      timing: { prompt_ms: 10, first_token_ms: 12, generate_ms: 20, tokens_per_second: 250 },
    });
    expect(report.timing.load_ms).toBeGreaterThanOrEqual(0);
    expect(report).not.toHaveProperty("seed");
  });

  it("gives every flag to the model", async () => {
    const { runs, model } = cli();
    const flags = {
      "--max-tokens": "40",
      "--temperature": "0.5",
      "--top-k": "40",
      "--top-p": "0.9",
      "--min-p": "0.05",
      "--typical-p": "0.8",
      "--repetition-penalty": "1.1",
      "--repetition-window": "64",
      "--presence-penalty": "0.5",
      "--frequency-penalty": "-0.5",
      "--seed": "7",
      "--logprobs": "2",
    };
    const more = ["--logit-bias", "65=-3", "--logit-bias", "66=-inf", "--stop", "!", "--stop", "?"];
    const argv = ["generate", "--model", "x", "--ids", "1,2,3", ...Object.entries(flags).flat(), ...more];
    const { out, err } = await runs([
      ...argv,
      "--stop-token",
      "67",
      "--stop-token",
      "68",
      "--ignore-end",
      "--json",
    ]);
    expect(err).toBe("");
    const { signal: _, ...options } = model.calls[0]!.options;
    expect(options).toEqual({
      maxTokens: 40,
      temperature: 0.5,
      topK: 40,
      topP: 0.9,
      minP: 0.05,
      typicalP: 0.8,
      repetitionPenalty: 1.1,
      repetitionWindow: 64,
      presencePenalty: 0.5,
      frequencyPenalty: -0.5,
      seed: 7,
      logprobs: 2,
      logitBias: new Map([
        [65, -3],
        [66, -Infinity],
      ]),
      stop: ["!", "?"],
      stopTokens: [67, 68],
      ignoreEnd: true,
    });
    const report = JSON.parse(out);
    expect(report).toMatchObject({ text: "Hello, world", stop: "!", finish_reason: "stop", seed: 7 });
    expect(report.logprobs[0]).toMatchObject({
      token: 72,
      text: "H",
      logprob: -0.5,
      top: [{ token: 72 }, {}],
    });
  });

  it("reads the prompt from standard input", async () => {
    const { runs, model } = cli();
    await runs(["generate", "--model", "x", "--prompt", "-"], { stdin: "é\n" });
    expect(model.calls[0]?.prompt).toEqual([256, 0xc3, 0xa9, 10]);
  });

  it("limits itself to 256 tokens, or to what fits", async () => {
    for (const [contextLength, most] of [
      [4096, 256],
      [100, 98],
    ] as const) {
      const { runs, model } = cli({ contextLength });
      await runs(["generate", "--model", "x", "--prompt", "a"]);
      expect(model.calls[0]?.options.maxTokens).toBe(most);
    }
  });

  it("says what it was told not to guess: a tokenizer", async () => {
    const { runs } = cli({ tokenizer: false });
    const { code, err } = await runs(["generate", "--model", "x", "--prompt", "a"]);
    expect(code).toBe(1);
    expect(err).toMatch(/no tokenizer.*--ids/);
    expect((await runs(["generate", "--model", "x", "--ids", "65", "--max-tokens", "2"])).out).toBe(
      "72 101 \n",
    );
  });

  it("shows rates on a terminal only", async () => {
    const { runs } = cli();
    const { err } = await runs(["generate", "--model", "x", "--prompt", "a"], { terminal: true });
    expect(err).toMatch(/2 tokens read at 200\/s, 28 written/);
  });
});

describe("score", () => {
  it("prints logits of every position so that f32 comes back", async () => {
    const { runs, model } = cli();
    const { out } = await runs(["score", "--model", "x", "--ids", "1,2,3", "--logits", "--json"]);
    const { logits } = JSON.parse(out) as { logits: number[][] };
    const rows = await model.logits([1, 2, 3]);
    expect(logits.map((row) => Float32Array.from(row))).toEqual(rows);
  });

  it("writes null for what JSON cannot hold", async () => {
    const { runs, model } = cli();
    model.logits = async () => [Float32Array.of(1.5, -Infinity, Number.NaN)];
    const { out } = await runs(["score", "--model", "x", "--ids", "1", "--logits", "--json"]);
    expect(out).toBe('{"logits":[[1.5,null,null]]}\n');
  });

  it("scores a file, standard input, or ids", async () => {
    const file = join(folder, "text.txt");
    await writeFile(file, "Grüße");
    const { runs } = cli();
    const json = { tokens: 7, nll: 7, perplexity: Math.E };
    expect(JSON.parse((await runs(["score", "--model", "x", "--file", file, "--json"])).out)).toEqual(json);
    const read = await runs(["score", "--model", "x", "--file", "-", "--json"], { stdin: "Grüße" });
    expect(JSON.parse(read.out)).toEqual(json);
    expect((await runs(["score", "--model", "x", "--ids", "1,2,3"])).out).toContain("perplexity 2.71828");
  });

  it("refuses a file that is not there", async () => {
    const { runs } = cli();
    const { code, err } = await runs(["score", "--model", "x", "--file", join(folder, "absent")]);
    expect(code).toBe(1);
    expect(err).toMatch(/absent: no such file/);
  });
});

describe("bench", () => {
  it("reports medians, spread and the machine", async () => {
    const { runs, model } = cli({ delay: 1 });
    const argv = [
      "bench",
      "--random",
      "llama-10m:q4_0",
      "--prompt-tokens",
      "8",
      "--gen-tokens",
      "4",
      "--runs",
      "2",
    ];
    const report = JSON.parse((await runs([...argv, "--threads", "2", "--json"])).out);
    expect(report).toMatchObject({
      prefill: { tokens: 8, tokens_per_second: expect.any(Number), min: expect.any(Number) },
      decode: { tokens: 4, tokens_per_second: expect.any(Number), max: expect.any(Number) },
      weights_bytes: 4000,
      peak_memory_bytes: expect.any(Number),
      threads: 2,
      runs: 2,
      machine: { cores: expect.any(Number), node: process.version },
    });
    expect(report.decode.all).toHaveLength(2);
    expect(report.decode.tokens_per_second).toBeGreaterThan(10);
    // One run to warm up; the prompts are as long, and none is known from the one before.
    expect(model.calls.map(({ prompt }) => prompt.length)).toEqual([8, 8, 8]);
    expect(new Set(model.calls.map(({ prompt }) => prompt[0])).size).toBe(3);
    expect(model.calls[0]?.options).toMatchObject({ temperature: 0, ignoreEnd: true, maxTokens: 4 });
    expect((await runs(argv)).out).toMatch(/decode +\S+ tokens\/s/);
  });

  it("refuses what exceeds the context", async () => {
    const { runs } = cli();
    const { code, err } = await runs(["bench", "--model", "x"]);
    expect(code).toBe(1);
    expect(err).toMatch(/512 and 64 more exceed the context of 128/);
  });
});

describe("chat", () => {
  const talk = (lines: string[], fake: FakeOptions = {}, argv: string[] = []) => {
    const { runs, model } = cli({ answer: "Yes.", ...fake });
    return runs(["chat", "--model", "x", "--seed", "5", ...argv], { stdin: `${lines.join("\n")}\n` }).then(
      (ran) => ({ ...ran, model }),
    );
  };
  const prompts = (model: ReturnType<typeof fakeModel>) =>
    model.calls.map(({ prompt }) => Buffer.from(prompt.slice(1)).toString());

  it("remembers the conversation", async () => {
    const { code, out, model } = await talk(["Hi", "", "And now?"], {}, ["--system", "Be kind"]);
    expect(code).toBe(0);
    expect(out).toBe("Yes.\n\nYes.\n\n");
    expect(prompts(model)).toEqual([
      "system: Be kind\nuser: Hi\n",
      "system: Be kind\nuser: Hi\nassistant: Yes.\nuser: And now?\n",
    ]);
    expect(model.calls.map((c) => c.options.seed)).toEqual([5, 6]);
  });

  it("has commands", async () => {
    const { out, model } = await talk([
      "A",
      "/reset",
      "B",
      "/system Be brief",
      "C",
      "/help",
      "/dance",
      "/quit",
      "D",
    ]);
    expect(prompts(model)).toEqual(["user: A\n", "user: B\n", "system: Be brief\nuser: C\n"]);
    expect(out).toContain("/reset          begin anew");
    expect(out).toContain("There is no /dance");
  });

  it("continues text where the checkpoint has no template, and says so", async () => {
    const { err, model } = await talk(["Once", " more"], { chats: false });
    expect(err).toContain("no chat template, so it continues what you write");
    expect(prompts(model)).toEqual(["Once", "OnceYes. more"]);
  });

  it("loses no line that comes while it says how it works", async () => {
    const model = fakeModel({ answer: "Yes.", chats: false });
    const [stdout, slow] = [new PassThrough().resume(), new PassThrough({ highWaterMark: 1 })];
    const stdin = Readable.from([Buffer.from("Once\n")]) as Input;
    const ran = run(
      ["chat", "--model", "x"],
      { stdin, stdout, stderr: slow, signal: new AbortController().signal },
      { ...services, ...opening(model) },
    );
    await expect.poll(() => slow.writableNeedDrain).toBe(true);
    slow.resume();
    expect(await ran).toBe(0);
    expect(prompts(model)).toEqual(["Once"]);
  });

  it("goes on after a refusal, without what was refused", async () => {
    const { code, err, model } = await talk(["x".repeat(200), "Hi"]);
    expect(code).toBe(0);
    expect(err).toMatch(/exceed the context.*\/reset/);
    expect(prompts(model).at(-1)).toBe("user: Hi\n");
  });
});

describe("serve", () => {
  it("takes no time that a timer cannot measure, which would be over at once", async () => {
    for (const flag of ["--timeout", "--drain"]) {
      const { code, err } = await runCli(["serve", "--model", "x", flag, "2147484"]);
      expect(code).toBe(2);
      expect(err).toContain("at most 2147483 seconds");
    }
  });

  it("prints its address, serves, and ends when it is told to", async () => {
    const { runs, model } = cli();
    const stop = new AbortController();
    let answer: Promise<Response> | undefined;
    const { code, out } = await runs(["serve", "--model", "x", "--port", "0", "--json"], {
      signal: stop.signal,
      onOutput: (text) => {
        answer = fetch(`${(JSON.parse(text) as { url: string }).url}/health`);
        answer.finally(() => stop.abort());
      },
    });
    expect((await answer)?.status).toBe(200);
    expect(JSON.parse(out)).toMatchObject({ host: "127.0.0.1", model: "fake" });
    expect(code).toBe(0);
    expect(model.closed).toBe(true);
  });

  it("has a banner for people", async () => {
    const { runs } = cli();
    const stop = new AbortController();
    const { out } = await runs(["serve", "--model", "x", "--port", "0"], {
      signal: stop.signal,
      onOutput: () => stop.abort(),
    });
    expect(out).toMatch(/fovea serves fake\n.*\n\n {2}page {4}http:\/\/127\.0\.0\.1:\d+\n/);
  });
});

describe("pull", () => {
  it("names the revision and the file, shows a bar on a terminal, and says how to go on", async () => {
    const asked: unknown[] = [];
    const services: RunOptions["services"] = {
      async pull(id, { file, onProgress }) {
        asked.push([id, file]);
        await new Promise((resolve) => setTimeout(resolve, 320));
        onProgress?.({ file: "m.gguf", done: 5e8, total: 1e9 });
        return {
          kind: "gguf",
          folder: "/cache/snap",
          weights: ["/cache/snap/m.gguf"],
          config: undefined,
          generationConfig: undefined,
          tokenizer: new Map(),
        };
      },
    };
    const argv = ["pull", "org/name", "--revision", "v1", "--file", "m.gguf"];
    const { code, out, err } = await runCli(argv, { services, terminal: true });
    expect(code).toBe(0);
    expect(asked).toEqual([["org/name@v1", "m.gguf"]]);
    expect(out).toMatch(/^\/cache\/snap\n\nRun it: {2}fovea generate --model \/cache\/snap\/m.gguf/);
    expect(err).toContain("50% 500 MB of 1.00 GB");
    expect(JSON.parse((await runCli([...argv, "--json"], { services })).out)).toMatchObject({
      model: "org/name@v1",
      folder: "/cache/snap",
    });
  });
});

describe("a model that runs as WebAssembly", () => {
  const wasm = fakeModel();
  const describe = () => ({ ...fakeModel().describe(), device: "WebAssembly SIMD-128, 2 threads" });
  const argv = ["generate", "--model", "a", "--prompt", "b"];

  it.each([
    [argv, /^fovea: there is no native add-on, .*\n {2}node \/.*\/scripts\/build-native\.mjs\n$/],
    [[...argv, "--device", "wasm"], /^$/],
  ])("%j tells on the error stream why, unless that was asked for", async (argv, told) => {
    const { code, err } = await runCli(argv, { services: opening({ ...wasm, describe }) });
    expect(code).toBe(0);
    expect(err).toMatch(told);
  });
});

describe("quantize", () => {
  const report = {
    out: "b.gguf",
    architecture: "llama",
    bytesBefore: 4000,
    bytesAfter: 1100,
    tensors: [
      {
        name: "blk.0.attn_q.weight",
        shape: [64, 32],
        ...({ from: "f32", to: "q4_0" } as const),
        bytes: 1152,
        relativeError: 0.0712,
        largestError: 0.01,
      },
      {
        name: "output_norm.weight",
        shape: [64],
        ...({ from: "f32", to: "f32" } as const),
        bytes: 256,
        relativeError: 0,
        largestError: 0,
      },
    ],
  };

  it("prints what each tensor lost", async () => {
    const asked: unknown[] = [];
    const services: RunOptions["services"] = {
      async quantize(model, { format, out, onTensor }) {
        asked.push(model, format, out);
        for (const [i, tensor] of report.tensors.entries()) onTensor?.(tensor, i + 1, 2);
        return report;
      },
    };
    const argv = ["quantize", "--model", "a", "--format", "q4_0", "--out", "b.gguf"];
    const { code, out } = await runCli(argv, { services });
    expect(code).toBe(0);
    expect(asked).toEqual(["a", "q4_0", "b.gguf"]);
    expect(out).toMatch(/blk\.0\.attn_q\.weight +64 × 32 +f32 +q4_0 +1\.15 kB +7\.12e-2 +1\.00e-2\n/);
    expect(out).toMatch(/output_norm\.weight .* exact +exact\n/);
    expect(out).toContain("b.gguf: 4.00 kB became 1.10 kB");
    expect(JSON.parse((await runCli([...argv, "--json"], { services })).out)).toMatchObject({
      bytes_before: 4000,
      bytes_after: 1100,
      tensors: [{ relative_rms_error: 0.0712, max_error: 0.01 }, { relative_rms_error: 0 }],
    });
  });

  it("replaces a file when it is told to, and not before", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fovea-quantize-"));
    try {
      const there = join(folder, "b.gguf");
      await writeFile(there, "hours of work");
      let made = 0;
      const services: RunOptions["services"] = {
        async quantize() {
          made++;
          return report;
        },
      };
      const argv = ["quantize", "--model", "a", "--format", "q4_0", "--out", there];
      const { code, err } = await runCli(argv, { services });
      expect(err).toBe(
        `fovea: --out: ${there} is there already; name another file, or replace it with --force\n`,
      );
      expect([code, made]).toEqual([1, 0]);
      expect((await runCli([...argv, "--force"], { services })).code).toBe(0);
      expect(made).toBe(1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("offers every format that there is", () => {
    expect([...formatChoices].sort()).toEqual(Object.keys(formats).sort());
  });
});

describe.skipIf(!haveShared)("inspect", () => {
  const real = (argv: string[]) => runCli(["inspect", ...argv], { services });

  it("tells what a safetensors checkpoint and a GGUF file hold", async () => {
    const folder = await real([shared("models/stories260K/hf"), "--json"]);
    expect(JSON.parse(folder.out)).toMatchObject({
      kind: "safetensors",
      parameters: 260_032,
      bytes: 1_040_128,
      config: { model_type: "llama" },
      formats: { f32: { tensors: 47 } },
      tokenizer: { vocab_size: 512, bos: 1, eos: [2] },
      chat_template: null,
    });
    const gguf = await real([shared("models/gguf-test/llama-2-tiny-random.gguf")]);
    expect(gguf.out).toMatch(/llama\.context_length +4096/);
    expect(gguf.out).toMatch(/token_embd\.weight +f16 +32000 × 8 +512 kB/);
    expect(gguf.out).toMatch(/tokenizer +32000 tokens, bos 1, eos 2/);
  });
});

describe("fovea tune", () => {
  const product = { format: "q8_0", m: 64, k: 64, rows: 1, threads: 1, experts: 0, gated: false } as const;
  const choice = { ahead: 0, panels: 32, step: 0, tiles: 0 };
  const result = { product, choice, tokens: 1, before: 2000, after: 1000, kept: true };
  const services = (path: string) => ({
    ...opening(fakeModel()),
    tuned: async () => ({ path, kept: [] }),
    tune: async () => [result],
  });

  it("says where it keeps what it found", async () => {
    const { code, out } = await runCli(["tune", "x"], { services: services("/cache/tuning.json") });
    expect(out).toMatch(/q8_0 \[64, 64\].*100\.0 %/);
    expect(out).toMatch(/1 products; choices kept: 1, in \/cache\/tuning\.json\n$/);
    expect(code).toBe(0);
  });

  it.each([
    ["tune", "x"],
    ["tune", "--show"],
  ])("refuses to where nothing is kept: %s %s", async (...argv) => {
    const { code, out, err } = await runCli(argv, { services: services("") });
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/^fovea: FOVEA_TUNING is 0, so nothing is kept/);
  });
});
