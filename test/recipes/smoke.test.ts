/** The recipes, run as a user runs them, in seconds; and one that is killed and goes on. Needs the built library. */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, it } from "vitest";
import { readLog } from "../../src/learn/log.ts";
import { open } from "../../src/tasks/open.ts";
import { filesUnder, readSource } from "../support/sources.ts";
import { temporaryFolder } from "../support/temporary.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = temporaryFolder();

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

function recipe(name: string, args: readonly string[], shared = process.env.FOVEA_SHARED) {
  const child = spawn(process.execPath, [join(root, "scripts/recipe.mjs"), name, "--smoke", ...args], {
    cwd: root,
    env: { ...process.env, ...(shared === undefined ? {} : { FOVEA_SHARED: shared }) },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    err += data;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out, err }));
  });
  return { child, ended };
}

/** The project's own documentation, as a corpus of some documents. */
const books = join(folder, "books");
mkdirSync(books);
for (const path of filesUnder("docs").filter((path) => path.endsWith(".md")))
  writeFileSync(join(books, path.replaceAll("/", "-")), readSource(path).repeat(3));
const text = join(folder, "text.txt");
writeFileSync(text, filesUnder("docs").map(readSource).join("\n"));

describe("the default model's recipe", () => {
  it("gives a model that opens and writes, with its card and curves", async () => {
    const out = join(folder, "default");
    const { code, err } = await recipe("default", ["--out", out, "--data", books]).ended;
    expect(err).toMatch(/model, card, curves/);
    expect(code).toBe(0);
    const model = await open(join(out, "ship"));
    const { tokens } = await model.generate("The same bits", { maxTokens: 8, temperature: 0 }).result();
    expect(tokens).toHaveLength(8);
    expect(model.tokenizer?.encode("The same bits")).toEqual(
      (await open(join(out, "model"))).tokenizer?.encode("The same bits"),
    );
    await model.close();
    const card = readFileSync(join(out, "ship/README.md"), "utf8");
    expect(card).toMatch(/\| \*\*this one, q8_0\*\* \| \*\*\d\.\d{3}\*\* \|/);
    expect(card).toMatch(/ in 1 run on .*\n- \*\*Command\.\*\* `npm run recipe default -- [^/]*--finish/);
    expect(card).toMatch(/Kneser-Ney, from the same books \| \d\.\d{3} \|/);
    expect(readFileSync(join(out, "ship/curves.svg"), "utf8")).toContain("default: validation");
    const lines = readLog(join(out, "training/log.jsonl"));
    expect(lines.at(-1)!.loss).toBeLessThan(lines[0]!.loss);
    // What is there already is taken, from wherever the same texts lie; others are not the same.
    const moved = join(folder, "moved");
    cpSync(books, moved, { recursive: true });
    expect((await recipe("default", ["--out", out, "--data", moved]).ended).err).toContain("as prepared");
    const [first = ""] = readdirSync(moved);
    appendFileSync(join(moved, first), "The end.");
    const other = await recipe("default", ["--out", out, "--data", moved]).ended;
    expect(other.err).toContain("vocabulary of 512");
    expect(other.err).not.toContain("as prepared");
  });

  it("refuses unknown flags and data that is not there", async () => {
    const unknown = await recipe("default", ["--colour", "red"]).ended;
    expect(unknown).toMatchObject({
      code: 1,
      err: expect.stringMatching(/'--colour'.*--help lists the flags/),
    });
    const { code, err } = await recipe("default", [
      "--out",
      join(folder, "none"),
      "--data",
      join(folder, "none.txt"),
    ]).ended;
    expect(code).toBe(1);
    expect(err).toMatch(/^fovea: --data: .*none\.txt: no such file/);
    const many = await recipe("shakespeare-char", ["--out", join(folder, "none"), "--data", books]).ended;
    expect(many).toMatchObject({ code: 1, err: expect.stringMatching(/^fovea: --data: .*one file of text/) });
  });

  it("lists its flags for --help, and says where the text is when there is none", async () => {
    const help = await recipe("default", ["--help"]).ended;
    expect(help).toMatchObject({ code: 0, err: "" });
    expect(help.out).toMatch(/^ {2}--kv-heads 2$/m);
    expect(help.out).toMatch(/^ {2}--finish$/m);
    for (const name of ["default", "default-shapes", "shakespeare-char"]) {
      const { code, err } = await recipe(name, ["--out", join(folder, "none")], join(folder, "none")).ended;
      expect(code).toBe(1);
      expect(err).toMatch(/^fovea: --data: name the text to learn from; .*https:\/\//);
    }
  });
});

describe("the choice of the default model's shape", () => {
  it("trains every candidate once, and compares them in a table", async () => {
    const args = ["--out", join(folder, "shapes"), "--data", books];
    expect((await recipe("default-shapes", args).ended).code).toBe(0);
    const outcome = readFileSync(join(folder, "shapes/table.md"), "utf8");
    expect(outcome.match(/^\| \d+ x \d+ \|( [\d.]+ \|){5}$/gm)).toHaveLength(2);
    const again = await recipe("default-shapes", args).ended;
    expect(again.err).not.toContain("bits per byte\n");
    expect(again.err).toContain(outcome);
  });
});

describe("a training that is killed", () => {
  const args = (out: string) => ["--out", out, "--data", text, "--device", "reference", "--steps", "40"];

  it("goes on with the same bits", { retry: 0 }, async () => {
    const [whole, cut] = [join(folder, "whole"), join(folder, "cut")];
    expect(await recipe("shakespeare-char", args(whole)).ended).toMatchObject({ code: 0 });
    const state = join(cut, "training/state.safetensors");
    let kills = 0;
    for (let turn = 0; turn < 3; turn++) {
      const before = existsSync(state) ? statSync(state).mtimeMs : 0;
      const { child, ended } = recipe("shakespeare-char", args(cut));
      const watch = setInterval(() => {
        // After a save of its own, in the middle of what follows.
        if (existsSync(state) && statSync(state).mtimeMs > before) child.kill("SIGKILL");
      }, 7);
      const { signal } = await ended;
      clearInterval(watch);
      if (signal === "SIGKILL") kills++;
    }
    expect(kills).toBe(3);
    expect(existsSync(join(cut, "model"))).toBe(false);
    expect(await recipe("shakespeare-char", args(cut)).ended).toMatchObject({ code: 0 });
    const weights = (out: string) => readFileSync(join(out, "model/model.safetensors"));
    expect(weights(cut).equals(weights(whole))).toBe(true);
    const losses = (out: string) =>
      readLog(join(out, "training/log.jsonl")).map(({ kind, step, loss }) => [kind, step, loss]);
    expect(losses(cut)).toEqual(losses(whole));
    // What has learned writes on: in letters of its text, line by line, by tokens that others read alike.
    const model = await open(join(whole, "model"));
    const letters = readFileSync(text, "utf8");
    const { text: written } = await model.generate("The device", { maxTokens: 20, seed: 1 }).result();
    expect(written).toHaveLength(20);
    expect([...written].filter((letter) => !letters.includes(letter))).toEqual([]);
    const names = ["tokenizer.json", "tokenizer_config.json", "generation_config.json"];
    const files = names.map((name) => JSON.parse(readFileSync(join(whole, "model", name), "utf8")));
    // The first letter, the end of a line, is no end of the text.
    expect(files[2]).toEqual({});
    const line = "A line,\n  and  «another» one.";
    expect(model.tokenizer?.encode(line)).toEqual(new Tokenizer(files[0], files[1]).encode(line).ids);
    expect(model.tokenizer?.decode(model.tokenizer.encode(line))).toBe(line);
    await model.close();
    // Other settings do not go on from this state.
    const { code, err } = await recipe("shakespeare-char", [...args(cut), "--seed", "2"]).ended;
    expect(code).toBe(1);
    expect(err).toMatch(/state\.safetensors: was made with other settings/);
    expect(readdirSync(join(cut, "training")).filter((name) => !name.endsWith(".tmp"))).toEqual([
      "log.jsonl",
      "state.safetensors",
    ]);
  });
});
