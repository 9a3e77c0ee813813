/**
 * The model that ships: a small Llama that continues English prose, trained on public-domain books. The same command
 * begins and goes on; `--finish` lowers the learning rate to its end and writes the model with its card.
 */
import { join } from "node:path";
import {
  curvesOf,
  duration,
  plot,
  readLog,
  screenOn,
  train,
  warmupStableDecay,
  writeText,
} from "fovea/learn";
import { flagName, flagsOf } from "./lib/flags.js";
import { booksSource, findData, root } from "./lib/places.js";
import { prepare } from "./lib/prepare.js";
import { ship } from "./lib/ship.js";
import { setUp, stateOf } from "./lib/training.js";

const defaults = {
  out: "",
  data: "",
  /** Where the corpus is prepared; empty: under `out`. */
  cache: "",
  /** Where the finished model goes. */
  ship: "",
  minutes: Number.POSITIVE_INFINITY,
  finish: false,
  /** Share of the steps made so far over which `--finish` lowers the rate. */
  cooldown: 0.25,
  /** Tokens to learn from before the rate is lowered by itself; none: until told. */
  tokens: Number.POSITIVE_INFINITY,
  ...{ width: 256, depth: 8, heads: 4, kvHeads: 2, ffn: 704, vocab: 8192, context: 1024 },
  ...{ windows: 2, batches: 4, warmup: 200, rate: 2e-3, decay: 0.1, average: 0 },
  ...{ precision: "bf16", seed: 20, device: "auto", threads: 0 },
  /** Share of the books that is held out; bytes of them that are scored. */
  ...{ heldOut: 0.03, scored: 1_000_000, books: Number.MAX_SAFE_INTEGER },
};
const smoke = {
  ...{ width: 32, depth: 2, heads: 2, kvHeads: 1, ffn: 64, vocab: 512, context: 64, windows: 4, batches: 2 },
  ...{ warmup: 5, tokens: 20 * 512, finish: true, heldOut: 0.4, scored: 8000, books: 5 },
};

export async function recipe(args: readonly string[], signal: AbortSignal): Promise<void> {
  const flags = flagsOf(args, defaults, smoke);
  const out = flags.out || join(root, "build/runs", flags.smoke ? "default-smoke" : "default");
  const screen = screenOn(process.stderr);
  const data = findData(flags.data, "books.tar.xz", booksSource);
  const { vocab, context, seed, windows, batches, warmup } = flags;
  const corpus = await prepare({
    ...{ data, folder: flags.cache || join(out, "corpus"), vocabulary: vocab, context },
    ...{ share: flags.heldOut, limit: flags.books, screen },
  });
  const precision = flags.precision === "bf16" ? "bf16" : "f32";
  const { width, depth, heads, kvHeads, ffn } = flags;
  const shape = { vocabulary: vocab, width, depth, heads, kvHeads, ffn, context, theta: 10_000 };
  const training = await setUp({
    ...{ shape, train: corpus.train, validation: corpus.validation },
    ...{ windows, batches, precision, seed, device: flags.device, threads: flags.threads },
    optimizer: {
      decay: ({ weight }) => (weight.dim(0) > 1 ? flags.decay : 0),
      ...(flags.average > 0 && { average: flags.average }),
    },
    validationWindows: flags.smoke ? 4 : 128,
  });
  const { trainer, tokensPerStep, operationsPerStep } = training;
  screen.line(
    `${trainer.parameters.count} parameters, ${tokensPerStep} tokens a step, ${training.device.description}`,
  );
  const { facts } = corpus.validation;
  const bytesPerToken = facts.textBytes / facts.tokens;
  const last = Math.ceil(flags.tokens / tokensPerStep);
  const stable = (position: { step: number; decay?: { from: number; steps: number } | undefined }) =>
    position.decay ??
    (Number.isFinite(last)
      ? { from: last, steps: Math.max(1, Math.ceil(flags.cooldown * last)) }
      : undefined);
  const result = await train({
    ...{ trainer, folder: stateOf(out), tokensPerStep, operationsPerStep },
    identity: {
      shape,
      windows,
      batches,
      precision,
      seed,
      rate: flags.rate,
      decay: flags.decay,
      warmup,
      average: flags.average,
      tokens: corpus.train.length,
    },
    schedule: (position) => warmupStableDecay({ peak: flags.rate, warmup, decay: stable(position) }),
    end: (position) => {
      const decay = stable(position);
      return decay ? decay.from + decay.steps : Number.POSITIVE_INFINITY;
    },
    minutes: flags.minutes,
    ...(flags.finish && !Number.isFinite(last) && { finish: flags.cooldown }),
    ...{ saveEvery: 100, validateEvery: 100, screen, signal },
    validate: async () => {
      const loss = await training.measure();
      return { loss, bits_per_byte: loss / Math.LN2 / bytesPerToken };
    },
  });
  const log = readLog(join(stateOf(out), "log.jsonl"));
  const picture = plot(curvesOf("default", log, "tokens"), {
    ...{ title: "The default model", xLabel: "tokens", yLabel: "nats per token" },
  });
  writeText(join(out, "curves.svg"), picture);
  await training.write(join(out, "model"));
  await training.close();
  screen.line(
    `${result.done ? "done" : "stopped; the same command goes on, --finish ends it"}: step ${result.step}, ` +
      `${result.step * tokensPerStep} tokens, ${duration(result.seconds)}; ${out}`,
  );
  if (!result.done) return;
  const target = flags.ship || (flags.smoke ? join(out, "ship") : join(root, "models/default"));
  await ship({
    ...{ out, target, corpus, data, picture, screen, signal, shape },
    scored: flags.scored,
    samples: flags.smoke ? 4 : 100,
    facts: {
      parameters: trainer.parameters.count,
      step: result.step,
      tokensPerStep,
      seconds: result.seconds,
      device: training.device.description,
      runs: result.runs,
      command: commandOf(flags),
      rate: flags.rate,
    },
  });
}

/** The command that was given, less where its files lie, which nobody else has. */
function commandOf(flags: Readonly<Record<string, string | number | boolean>>): string {
  const places = ["out", "data", "cache", "ship"];
  const given = Object.entries(defaults)
    .filter(([key, value]) => flags[key] !== value && !places.includes(key))
    .map(([key]) => (flags[key] === true ? flagName(key) : `${flagName(key)} ${flags[key]}`));
  return ["npm run recipe default", ...(given.length > 0 ? ["--", ...given] : [])].join(" ");
}
