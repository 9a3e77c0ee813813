/**
 * Tiny Shakespeare, letter by letter: the usual first training, in minutes. Text, split (the last tenth is held out) and
 * measure (nats per letter) are those of Karpathy's char-rnn and nanoGPT; the architecture is Llama's.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ParameterError } from "fovea";
import {
  cosine,
  curvesOf,
  duration,
  plot,
  readLog,
  screenOn,
  TokenFile,
  TokenFileWriter,
  train,
  writeText,
} from "fovea/learn";
import { flagsOf } from "./lib/flags.js";
import { writeLetters } from "./lib/letters.js";
import { findData, root } from "./lib/places.js";
import { setUp, stateOf } from "./lib/training.js";

const defaults = {
  out: "",
  data: "",
  ...{ width: 160, depth: 4, heads: 5, ffn: 416, context: 256 },
  ...{ windows: 32, steps: 600, warmup: 50, rate: 3e-3, decay: 0.1 },
  ...{ saveEvery: 200, precision: "bf16", seed: 1337, device: "auto", threads: 0 },
};
const smoke = {
  width: 32,
  depth: 1,
  heads: 2,
  ffn: 64,
  context: 32,
  windows: 8,
  steps: 30,
  warmup: 5,
  saveEvery: 5,
};

const source =
  "a file, such as https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt";

export async function recipe(args: readonly string[], signal: AbortSignal): Promise<void> {
  const flags = flagsOf(args, defaults, smoke);
  const out =
    flags.out || join(root, "build/runs", flags.smoke ? "shakespeare-char-smoke" : "shakespeare-char");
  const screen = screenOn(process.stderr);
  const { steps, warmup, seed } = flags;
  const precision = flags.precision === "bf16" ? "bf16" : "f32";
  const letters = prepare(findData(flags.data, "tinyshakespeare/input.txt", source), out);
  const { width, depth, heads, ffn, context } = flags;
  const shape = {
    vocabulary: letters.length,
    width,
    depth,
    heads,
    kvHeads: heads,
    ffn,
    context,
    theta: 10_000,
  };
  const training = await setUp({
    shape,
    train: TokenFile.open(join(out, "train"))!,
    validation: TokenFile.open(join(out, "validation"))!,
    ...{ windows: flags.windows, batches: 1, precision, seed, device: flags.device, threads: flags.threads },
    optimizer: { beta2: 0.99, decay: ({ weight }) => (weight.dim(0) > 1 ? flags.decay : 0) },
    validationWindows: flags.smoke ? 8 : Number.POSITIVE_INFINITY,
  });
  screen.line(`${training.trainer.parameters.count} parameters, ${training.device.description}`);
  let best = Number.POSITIVE_INFINITY;
  const result = await train({
    trainer: training.trainer,
    folder: stateOf(out),
    identity: { ...flags, out: "", data: "", saveEvery: 0 },
    tokensPerStep: training.tokensPerStep,
    operationsPerStep: training.operationsPerStep,
    schedule: () => cosine({ peak: flags.rate, warmup, steps }),
    end: () => steps,
    saveEvery: flags.saveEvery,
    validateEvery: Math.ceil(steps / 12),
    validate: async () => {
      const loss = await training.measure();
      best = Math.min(best, loss);
      return { loss };
    },
    ...{ screen, signal },
  });
  const curves = curvesOf("shakespeare-char", readLog(join(stateOf(out), "log.jsonl")), "minutes");
  writeText(
    join(out, "curves.svg"),
    plot(curves, {
      title: "Tiny Shakespeare, letter by letter",
      xLabel: "minutes of training",
      yLabel: "nats per letter",
    }),
  );
  const model = join(out, "model");
  if (result.done) {
    await training.write(model, false);
    writeLetters(model, letters);
  }
  await training.close();
  const held = Number.isFinite(best) ? `, best on what was held out ${best.toFixed(4)} nats per letter` : "";
  screen.line(
    `${result.done ? "done" : "stopped; the same command goes on"}: step ${result.step}, ${duration(result.seconds)}${held}; ${out}`,
  );
  if (result.done) screen.line(`it writes: npx fovea generate --model ${model} --prompt "ROMEO:"`);
}

/** Numbers the letters by their code points, and writes nine tenths and one tenth of the text as tokens. */
function prepare(path: string, out: string): string[] {
  if (!statSync(path).isFile()) throw new ParameterError("--data", `${path}: must be one file of text`);
  mkdirSync(out, { recursive: true });
  const text = readFileSync(path, "utf8");
  const letters = [...new Set(text)].sort();
  const ids = new Map(letters.map((letter, id) => [letter, id]));
  const all = Array.from(text, (letter) => ids.get(letter)!);
  const cut = Math.floor(all.length * 0.9);
  for (const [name, part] of [
    ["train", all.slice(0, cut)],
    ["validation", all.slice(cut)],
  ] as const) {
    const file = new TokenFileWriter(join(out, name), letters.length);
    file.add(basename(path), part, part.length);
    file.finish();
  }
  return letters;
}
