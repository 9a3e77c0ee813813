/** `fovea plot`: the curves of trainings as a picture. */
import { writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { Option } from "commander";
import { CheckpointError, ParameterError } from "../../base/errors.ts";
import { fileProblem, writeProblem } from "../../checkpoint/file.ts";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { print } from "../io.ts";

interface Flags {
  readonly out: string;
  readonly x: "step" | "tokens" | "minutes";
  readonly figure: string;
  readonly title: string;
}

const labels = { step: "steps", tokens: "tokens", minutes: "minutes of training" } as const;

export const plot: AddCommand = (program, context) => {
  program
    .command("plot")
    .description("Draw the curves of training logs as an SVG.")
    .argument("<log...>", "log.jsonl of a training; several are drawn in one picture")
    .option("-o, --out <file>", "the picture; - writes it to standard output", "curves.svg")
    .addOption(
      new Option("--x <axis>", "what the curves run over").choices(Object.keys(labels)).default("step"),
    )
    .option("--figure <name>", "what is drawn: loss, norm, rate, or what validations report", "loss")
    .option("--title <text>", "above the curves", "Training")
    .addHelpText(
      "after",
      examples("plot run/log.jsonl", "plot a/log.jsonl b/log.jsonl --x minutes --out both.svg"),
    )
    .action((logs: readonly string[], flags: Flags) => run(logs, flags, context));
};

async function run(
  logs: readonly string[],
  { out, x, figure, title }: Flags,
  { io }: CommandContext,
): Promise<void> {
  const [{ readLog }, { curvesOf, plot: draw }] = await Promise.all([
    import("../../learn/log.ts"),
    import("../../learn/plot.ts"),
  ]);
  const curves = logs.flatMap((path, colour) => {
    try {
      return curvesOf(nameOf(path), readLog(path), x, { figure, colour });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      throw new CheckpointError(path, fileProblem(error));
    }
  });
  if (curves.length === 0) throw new ParameterError("--figure", `no line of these logs has a "${figure}"`);
  const picture = draw(curves, { title, xLabel: labels[x], yLabel: figure });
  if (out === "-") return print(io.stdout, picture);
  try {
    await writeFile(out, picture);
  } catch (error) {
    throw new ParameterError("--out", `${out}: ${writeProblem(error)}`);
  }
  await print(io.stdout, `${out}: ${curves.map(({ name }) => name).join(", ")}\n`);
}

/** Folders say more than the names that every training has. */
function nameOf(path: string): string {
  const parts = resolve(path).split(/[\\/]/);
  const named = parts.filter((part) => part !== "log.jsonl" && part !== "training");
  return basename(named.at(-1) ?? path, ".jsonl");
}
