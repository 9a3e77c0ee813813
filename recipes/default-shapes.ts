/**
 * How the shape of the default model was chosen: short trainings of several shapes, all with the same compute (6 ·
 * parameters · tokens), on the same books in the same order, measured on the same held-out text. Bits per byte compare
 * vocabularies too, which losses per token do not.
 */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { ParameterError } from "fovea";
import {
  cosine,
  curvesOf,
  plot,
  readJson,
  readLog,
  screenOn,
  train,
  writeJson,
  writeText,
} from "fovea/learn";
import { beginnings, bitsPerByteOf } from "./lib/evaluate.js";
import { flagsOf } from "./lib/flags.js";
import { booksSource, findData, root } from "./lib/places.js";
import { prepare } from "./lib/prepare.js";
import { setUp, stateOf } from "./lib/training.js";

interface Candidate {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
}

/** The default first. */
const candidates: readonly Candidate[] = [
  { width: 256, depth: 8, heads: 4, kvHeads: 2, vocabulary: 8192 },
  { width: 256, depth: 8, heads: 4, kvHeads: 2, vocabulary: 4096 },
  { width: 192, depth: 8, heads: 4, kvHeads: 2, vocabulary: 4096 },
  { width: 320, depth: 6, heads: 4, kvHeads: 2, vocabulary: 4096 },
  { width: 256, depth: 8, heads: 4, kvHeads: 2, vocabulary: 2048 },
  { width: 256, depth: 12, heads: 4, kvHeads: 2, vocabulary: 4096 },
  { width: 384, depth: 6, heads: 6, kvHeads: 3, vocabulary: 4096 },
];
const small: readonly Candidate[] = [
  { width: 32, depth: 1, heads: 2, kvHeads: 1, vocabulary: 512 },
  { width: 48, depth: 2, heads: 2, kvHeads: 1, vocabulary: 768 },
];

const defaults = {
  ...{ out: "", data: "", cache: "" },
  /** Some of the candidates by name, 256x8-4096,192x8-4096; empty: all. */
  only: "",
  /** Operations of each training: 6 · parameters · tokens. */
  compute: 2e13,
  ...{ context: 1024, windows: 2, batches: 1, rate: 2e-3, decay: 0.1, precision: "bf16", seed: 20 },
  ...{ device: "auto", threads: 0, heldOut: 0.03, scored: 200_000, books: Number.MAX_SAFE_INTEGER },
};
const smoke = { compute: 1e9, context: 64, windows: 4, heldOut: 0.4, scored: 4000, books: 5 };

/** What a training gave, kept so that the same command goes on after a stop. */
interface Outcome {
  readonly compute: number;
  readonly parameters: number;
  readonly tokens: number;
  readonly bits: number;
  readonly tokensPerSecond: number;
}

export async function recipe(args: readonly string[], signal: AbortSignal): Promise<void> {
  const flags = flagsOf(args, defaults, smoke);
  const out = flags.out || join(root, "build/runs", flags.smoke ? "default-shapes-smoke" : "default-shapes");
  const screen = screenOn(process.stderr);
  const chosen = choose(flags.smoke ? small : candidates, flags.only);
  const outcomes: Outcome[] = [];
  for (const candidate of chosen) {
    const folder = join(out, nameOf(candidate));
    const known = readJson<Outcome>(join(folder, "outcome.json"));
    const outcome = known?.compute === flags.compute ? known : await learn(candidate, folder);
    if (!outcome) {
      screen.line("stopped; the same command goes on");
      return;
    }
    outcomes.push(outcome);
  }
  const curves = chosen.flatMap((candidate) =>
    curvesOf(nameOf(candidate), readLog(join(stateOf(join(out, nameOf(candidate))), "log.jsonl")), "tokens"),
  );
  const title = `Shapes, ${flags.compute.toExponential()} operations each`;
  writeText(join(out, "curves.svg"), plot(curves, { title, xLabel: "tokens", yLabel: "nats per token" }));
  writeText(join(out, "table.md"), table(chosen, outcomes));
  screen.line(`${table(chosen, outcomes)}${out}`);

  async function learn(candidate: Candidate, folder: string): Promise<Outcome | undefined> {
    const { context, seed, windows, batches, rate } = flags;
    const { vocabulary, width } = candidate;
    const corpus = await prepare({
      data: findData(flags.data, "books.tar.xz", booksSource),
      folder: join(flags.cache || out, `corpus-${vocabulary}`),
      ...{ vocabulary, context, share: flags.heldOut, limit: flags.books, screen },
    });
    const precision = flags.precision === "bf16" ? "bf16" : "f32";
    const shape = { ...candidate, ffn: (width * 11) / 4, context, theta: 10_000 };
    const training = await setUp({
      ...{ shape, train: corpus.train, validation: corpus.validation, validationWindows: 1 },
      ...{ windows, batches, precision, seed, device: flags.device, threads: flags.threads },
      optimizer: { decay: ({ weight }) => (weight.dim(0) > 1 ? flags.decay : 0) },
    });
    const { trainer, tokensPerStep, operationsPerStep } = training;
    const parameters = trainer.parameters.count;
    const steps = Math.round(flags.compute / (6 * parameters * tokensPerStep));
    screen.line(`${nameOf(candidate)}: ${parameters} parameters, ${steps} steps of ${tokensPerStep} tokens`);
    const warmup = Math.ceil(steps / 10);
    const result = await train({
      ...{ trainer, folder: stateOf(folder), tokensPerStep, operationsPerStep, screen, signal },
      identity: { shape, windows, batches, precision, seed, rate, decay: flags.decay, steps },
      schedule: () => cosine({ peak: rate, warmup, steps, floor: 0 }),
      end: () => steps,
    });
    await training.write(join(folder, "model"));
    await training.close();
    if (!result.done) return undefined;
    for (const name of ["tokenizer.json", "tokenizer_config.json"])
      copyFileSync(join(corpus.folder, name), join(folder, "model", name));
    const texts = beginnings(corpus.heldOut, flags.scored);
    const { bits } = await bitsPerByteOf(join(folder, "model"), texts, screen, signal);
    const tokens = steps * tokensPerStep;
    const outcome = {
      compute: flags.compute,
      parameters,
      tokens,
      bits,
      tokensPerSecond: tokens / result.seconds,
    };
    writeJson(join(folder, "outcome.json"), outcome);
    screen.line(`${nameOf(candidate)}: ${bits.toFixed(4)} bits per byte`);
    return outcome;
  }
}

function choose(all: readonly Candidate[], names: string): readonly Candidate[] {
  if (names === "") return all;
  return names.split(",").map((name) => {
    const found = all.find((candidate) => nameOf(candidate) === name);
    if (!found) throw new ParameterError("--only", `${name} is none of ${all.map(nameOf).join(", ")}`);
    return found;
  });
}

const nameOf = ({ width, depth, vocabulary }: Candidate): string => `${width}x${depth}-${vocabulary}`;

function table(chosen: readonly Candidate[], outcomes: readonly Outcome[]): string {
  const rows = chosen.map(({ width, depth, vocabulary }, i) => {
    const { parameters, tokens, bits, tokensPerSecond } = outcomes[i]!;
    const millions = [parameters, tokens].map((count) => (count / 1e6).toFixed(2)).join(" | ");
    return `| ${width} x ${depth} | ${vocabulary} | ${millions} | ${bits.toFixed(3)} | ${Math.round(tokensPerSecond)} |`;
  });
  return `| width x depth | vocabulary | parameters, M | tokens, M | bits per byte | tokens/s |
| --- | --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
}
