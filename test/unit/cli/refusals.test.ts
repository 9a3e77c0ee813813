/** What users get wrong first: each refusal names the flag that they gave and says what is the matter with it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ParameterError } from "../../../src/base/errors.ts";
import { services } from "../../../src/cli/services.ts";
import { fakeModel } from "../../support/fake-model.ts";
import { opening, type RunOptions, runCli } from "../../support/run-cli.ts";

let folder: string;
let picture: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-refusals-"));
  picture = join(folder, "picture.png");
  await writeFile(picture, Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0xff, 0xd8));
});
afterAll(() => rm(folder, { recursive: true }));

const run = (argv: readonly string[], options: RunOptions = {}) =>
  runCli(argv, { services: opening(fakeModel()), ...options });

describe("a parameter that the library refuses", () => {
  const refusing = (parameter: string): RunOptions => ({
    services: { open: () => Promise.reject(new ParameterError(parameter, "does not fit")) },
  });
  const generate = ["generate", "--model", "x", "--prompt", "a"];

  it.each([
    ["maxTokens", ["--max-tokens", "5"], "--max-tokens"],
    ["logitBias", ["--logit-bias", "7=1"], "--logit-bias"],
    ["stopTokens", ["--stop-token", "7"], "--stop-token"],
    ["stop", ["--stop", "x"], "--stop"],
    ["prompt", [], "--prompt"],
    ["maxTokens", [], "maxTokens"],
    ["grammar", [], "grammar"],
  ])("%s is told under the flag that gave it: %j", async (parameter, flags, name) => {
    const { code, err } = await run([...generate, ...flags], refusing(parameter));
    expect(err).toBe(`fovea: ${name}: does not fit\n`);
    expect(code).toBe(1);
  });
});

describe("a text that is none", () => {
  it.each([
    [["score", "--model", "x", "--file", "FILE"], "--file: FILE is not text in UTF-8"],
    [["score", "--model", "x", "--file", "-"], "--file: standard input is not text in UTF-8"],
    [["generate", "--model", "x", "--prompt", "-"], "--prompt: standard input is not text in UTF-8"],
  ])("is refused: %j", async (argv, message) => {
    const stdin = Buffer.from([0x61, 0xff, 0xfe]);
    const { code, err } = await run(
      argv.map((word) => (word === "FILE" ? picture : word)),
      { stdin },
    );
    expect(err).toBe(`fovea: ${message.replace("FILE", picture)}\n`);
    expect(code).toBe(1);
  });

  it("and so is one of less than two tokens", async () => {
    const empty = join(folder, "empty.txt");
    await writeFile(empty, "");
    const { err } = await run(["score", "--model", "x", "--file", empty]);
    expect(err).toMatch(/^fovea: --file: the text is too short/);
  });
});

describe("files and folders", () => {
  it("a model without a name is not the folder that one stands in", async () => {
    const { code, err } = await run(["inspect", ""], { services: { inspect: services.inspect } });
    expect([code, err]).toEqual([1, "fovea: model: is empty; name a folder, a .gguf file or ORG/NAME\n"]);
  });

  it("what cannot be written says that its folder is missing", async () => {
    const log = join(folder, "log.jsonl");
    await writeFile(log, '{"kind":"step","step":1,"tokens":1,"loss":1,"norm":1,"rate":1,"seconds":1}\n');
    const out = join(folder, "none", "curves.svg");
    const { err } = await run(["plot", log, "--out", out]);
    expect(err).toBe(`fovea: --out: ${out}: its folder does not exist\n`);
  });

  it("logs and prompts that are missing or of another kind", async () => {
    const missing = join(folder, "missing");
    expect((await run(["plot", missing])).err).toBe(`fovea: ${missing}: no such file\n`);
    const other = join(folder, "other.txt");
    await writeFile(other, "hello\n");
    expect((await run(["plot", other])).err).toMatch(/other\.txt: line 1 is not of a training's log/);
    const load = ["load", "--url", "http://127.0.0.1:1/v1", "--model", "m", "--prompts", missing];
    expect((await run(load)).err).toBe(`fovea: --prompts: ${missing}: no such file\n`);
  });
});

describe("fovea serve", () => {
  it.each([
    [["--api-key", ""], /--api-key <key>' argument '' is invalid. It is empty/],
    [["--origin", "example.org"], /--origin.*must be scheme and host/],
    [["--origin", "https://example.org/"], /--origin.*must be scheme and host/],
    [["--origin", "https://Example.org"], /--origin.*must be scheme and host/],
  ])("refuses %j, which would not do what was meant", async (flags, message) => {
    const { code, err } = await run(["serve", "--port", "0", ...flags]);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });

  it("refuses a log that cannot be opened before anything is served", async () => {
    const file = join(folder, "none", "serve.log");
    const model = fakeModel();
    const { code, err, out } = await run(["serve", "--port", "0", "--log-file", file], {
      services: opening(model),
    });
    expect(err).toBe(`fovea: --log-file: ${file}: its folder does not exist\n`);
    expect([code, out]).toEqual([1, ""]);
  });

  it.each(["*", "null", "https://example.org", "http://127.0.0.1:3000", "chrome-extension://abc"])(
    "takes %s as an origin",
    async (origin) => {
      const ended = new AbortController();
      ended.abort();
      const { err } = await run(["serve", "--port", "0", "--origin", origin], { signal: ended.signal });
      expect(err).toBe("");
    },
  );
});
