/** `fovea tune`: measures how products of a model run best on this machine, and shows what is kept. */
import { Option } from "commander";
import { FoveaError } from "../../base/errors.ts";
import { formats } from "../../format/index.ts";
import type { TunedProduct } from "../../ops/index.ts";
import type { TuneResult } from "../../tasks/tune.ts";
import { type AddCommand, type CommandContext, examples, UsageError } from "../command.ts";
import { integer, jsonFlag, type ModelFlags } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { withModel } from "../open-model.ts";
import { progress } from "../progress.ts";
import { showRate, table } from "../show.ts";

interface Flags {
  readonly random?: string;
  readonly threads?: number;
  readonly show?: boolean;
  readonly json?: boolean;
}

export const tune: AddCommand = (program, context) => {
  const command = program
    .command("tune")
    .argument("[model]", "folder, .gguf file, or ORG/NAME that was pulled")
    .description(
      "Measure how a model's matrix products run fastest here, and keep what wins; no result changes.",
    )
    .addOption(new Option("--random <shape:format>", "random weights of a known shape, as in fovea bench"))
    .option("--threads <n>", "threads of the device (default: the cores at hand)", integer(1, 512))
    .option("--show", "print what is kept for this machine, and measure nothing");
  jsonFlag(command)
    .addHelpText(
      "after",
      `${examples("tune ./model.gguf", "tune --random llama-1.1b:q4_0", "tune --show")}
Takes a minute or two, and wants an idle machine. FOVEA_TUNING names the folder of the tables; 0: none.\n`,
    )
    .action((model: string | undefined, flags: Flags) => run(model, flags, context));
};

async function run(model: string | undefined, flags: Flags, context: CommandContext): Promise<void> {
  const { io, services } = context;
  const { random, threads } = flags;
  if (!flags.show && (model === undefined) === (random === undefined))
    throw new UsageError("name one model, as a path or with --random (or use --show)");
  const { path, kept } = await services.tuned(threads);
  if (path === "")
    throw new FoveaError("FOVEA_TUNING is 0, so nothing is kept; leave it out, or let it name a folder");
  if (flags.show) {
    const text = kept.length === 0 ? `nothing is kept in ${path}\n` : `${path}\n${keptTable(kept)}`;
    return flags.json ? printJson(io.stdout, { path, kept }) : print(io.stdout, text);
  }
  const named: ModelFlags = { ...(model && { model }), ...flags, device: "native" };
  await withModel(context, named, async (opened) => {
    const bar = progress(io.stderr, "measuring", (done) => done.toFixed(0));
    const options = { onProgress: bar.update, signal: io.signal };
    const results = await services.tune(opened, options).finally(bar.end);
    await (flags.json ? printJson(io.stdout, results) : print(io.stdout, resultTable(results, path)));
  });
}

/** One product in a table. */
type Row = Pick<TuneResult, "product" | "tokens" | "before" | "after"> & Partial<TuneResult>;

const keptTable = (kept: readonly TunedProduct[]): string =>
  productTable(kept.map((row) => ({ ...row, kept: true })));

function resultTable(results: readonly TuneResult[], path: string): string {
  const kept = results.filter((result) => result.kept).length;
  return `${productTable(results)}${results.length} products; choices kept: ${kept}, in ${path}\n`;
}

const productTable = (rows: readonly Row[]): string =>
  table(
    [
      ["product", "rows", "threads", "tokens", "usual", "", "chosen", "", "gain", "choice"],
      ...rows.map((row) => [
        nameOf(row),
        String(row.product.rows),
        String(row.product.threads),
        String(row.tokens),
        ...shown(row, row.before),
        ...(row.choice ? shown(row, row.after) : ["", ""]),
        row.choice ? `${((row.before / row.after - 1) * 100).toFixed(1)} %` : "",
        row.choice ? `${choiceText(row.choice)}${row.kept ? "" : " (not kept: lost its trial)"}` : "",
      ]),
    ],
    [1, 2, 3, 4, 5, 6, 7, 8],
  );

const nameOf = ({ product: { format, m, k, experts, gated } }: Row): string =>
  `${format} [${m}, ${k}]${experts > 0 ? ` of ${experts} experts` : ""}${gated ? " gated" : ""}`;

const choiceText = (choice: TunedProduct["choice"]): string =>
  Object.entries(choice)
    .filter(([, value]) => value !== 0)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

/** Microseconds; then GB/s of weights for one token, operations for several. Experts share tokens unevenly. */
function shown({ product: { format, m, k, experts }, tokens }: Row, nanoseconds: number): [string, string] {
  const time = `${showRate(nanoseconds / 1000)} µs`;
  if (experts > 0) return [time, ""];
  if (tokens > 1) return [time, `${showRate((2 * m * k * tokens) / nanoseconds)} GFLOP/s`];
  const { block, blockBytes } = formats[format];
  return [time, `${showRate(((m * k) / block) * (blockBytes / nanoseconds))} GB/s`];
}
