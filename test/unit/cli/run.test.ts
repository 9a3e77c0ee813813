/** Help, usage errors and exit codes of every command. */
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../../src/base/errors.ts";
import { fakeModel } from "../../support/fake-model.ts";
import { opening, runCli } from "../../support/run-cli.ts";

const commands = [
  "generate",
  "chat",
  "serve",
  "score",
  "bench",
  "load",
  "price",
  "inspect",
  "quantize",
  "pull",
];

describe("help", () => {
  it.each(commands)("of %s has examples and exits with 0", async (name) => {
    const { code, out } = await runCli([name, "--help"]);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: fovea ${name}`);
    expect(out).toContain(`$ fovea ${name}`);
  });

  it("lists the commands, and the version is that of the package", async () => {
    const { code, out } = await runCli(["--help"]);
    expect(code).toBe(0);
    for (const name of commands) expect(out).toContain(`  ${name} `);
    expect((await runCli(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("exit code 2, with the flag named, when called wrongly", () => {
  const wrong: [string[], RegExp][] = [
    [["dance"], /unknown command 'dance'/],
    [["generate"], /--prompt/],
    [["generate", "--prompt", "a", "--ids", "1"], /--ids.*cannot be used with.*--prompt/],
    [["generate", "--prompt", "The", "sea", "is"], /'generate'. It takes flags alone.* wants quotes/],
    [["serve", "./model.gguf"], /'serve'. It takes flags alone, such as --model/],
    [["generate", "--prompt", "a", "--colour"], /unknown option '--colour'/],
    [["generate", "--prompt", "a", "--top-k", "many"], /--top-k.*not a number/],
    [["generate", "--prompt", "a", "--top-p", "2"], /--top-p: must be a number from 0 to 1/],
    [["generate", "--prompt", "a", "--max-tokens", "0"], /--max-tokens.*from 1/],
    [["generate", "--prompt", "a", "--logit-bias", "x"], /--logit-bias.*42=-5/],
    [["generate", "--prompt", "a", "--logprobs", "2"], /--logprobs needs --json/],
    [["generate", "--prompt", "a", "--device", "abacus"], /--device.*Allowed choices are auto, native/],
    [["generate", "--prompt", "a", "--threads", "0"], /--threads.*from 1/],
    [["generate", "--ids", "1,a"], /--ids.*token ids/],
    [["score"], /--file/],
    [["score", "--ids", "1,2", "--logits"], /--logits needs --json/],
    [["serve", "--port", "70000"], /--port.*65535/],
    [["bench", "--random", "a:b", "--model", "c"], /cannot be used with/],
    [["serve", "--cache-tokens", "10"], /--cache-tokens.*It must be an integer from 256/],
    [["quantize", "--model", "a", "--out", "b.gguf"], /required option '--format <format>'/],
    [["quantize", "--model", "a", "--out", "b.gguf", "--format", "q3"], /--format.*Allowed choices are f32/],
    [["load", "--prompts", "p.txt"], /required option '--url <url>'/],
    [["load", "--url", "http://127.0.0.1:1/v1"], /required option '--prompts <file>'/],
    [["load", "--url", "http://127.0.0.1:1/v1", "--prompts", "p", "--rate", "0"], /--rate.*above 0/],
    [
      ["load", "--url", "http://127.0.0.1:1/v1", "--prompts", "p", "--rate", "1", "--clients", "2"],
      /cannot be used with/,
    ],
    [["load", "--url", "http://127.0.0.1:1/v1", "--prompts", "p", "--body", "[1]"], /--body.*JSON object/],
    [["load", "--url", "localhost:8080", "--prompts", "p"], /--url.*such as http:\/\/127/],
    [["bench", "--profile", "--url", "u"], /--url.*such as http:\/\/127/],
    [["price", "--prompt-tokens", "3"], /--prompt-tokens and --gen-tokens, or --check/],
    [["bench", "--url", "http://127.0.0.1:1/v1"], /--url is for --profile/],
    [["inspect"], /missing required argument 'model'/],
    [["pull", "org/name@v1", "--revision", "v2"], /--revision/],
  ];
  it.each(wrong)("%j", async (argv, message) => {
    const { code, out, err } = await runCli(argv);
    expect(err).toMatch(message);
    expect(err).toMatch(/^fovea: /);
    expect(code).toBe(2);
    expect(out).toBe("");
  });
});

describe("exit code 1", () => {
  const failing = (error: unknown) => ({ open: () => Promise.reject(error) });

  it("with one line when a file is refused", async () => {
    const services = failing(
      new CheckpointError("model.gguf", "is cut off", { field: "version", offset: 4 }),
    );
    const { code, err } = await runCli(["generate", "--model", "model.gguf", "--prompt", "a"], { services });
    expect(err).toBe('fovea: model.gguf, field "version", at byte 4: is cut off\n');
    expect(code).toBe(1);
  });

  it("with the stack when it is a bug", async () => {
    const services = failing(new TypeError("undefined is not a function"));
    const { code, err } = await runCli(["generate", "--model", "x", "--prompt", "a"], { services });
    expect(err).toContain("this is a bug");
    expect(err).toMatch(/at .*run\.test\.ts/);
    expect(code).toBe(1);
  });

  it("and says how to get a model where the named one is absent", async () => {
    const { services } = await import("../../../src/cli/services.ts");
    const { code, err } = await runCli(["generate", "--model", "org/absent", "--prompt", "a"], { services });
    expect(err).toContain("fovea pull org/absent");
    expect(code).toBe(1);
  });
});

it("exits with 130 and closes the model when it is interrupted", async () => {
  const model = fakeModel({ delay: 5, contextLength: 4096 });
  const controller = new AbortController();
  const argv = ["generate", "--model", "x", "--prompt", "a", "--ignore-end", "--max-tokens", "4000"];
  const { code, err } = await runCli(argv, {
    services: opening(model),
    signal: controller.signal,
    onOutput: () => controller.abort(),
  });
  expect(code).toBe(130);
  expect(err).toBe("");
  expect(model.endings).toEqual(["abort"]);
  expect(model.closed).toBe(true);
});
