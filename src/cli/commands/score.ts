/** `fovea score`: how likely a text is, or the logits after each of its tokens. */
import { readFile } from "node:fs/promises";
import { Option } from "commander";
import { ParameterError } from "../../base/errors.ts";
import type { LanguageModel } from "../../tasks/types.ts";
import { type AddCommand, type CommandContext, examples, UsageError } from "../command.ts";
import { ids, integer, jsonFlag, type ModelFlags, modelFlags } from "../flags.ts";
import { type Output, print, printJson, readAll, textOf } from "../io.ts";
import { withModel } from "../open-model.ts";
import { progress } from "../progress.ts";
import { showCount } from "../show.ts";

interface Flags extends ModelFlags {
  readonly file?: string;
  readonly ids?: readonly number[];
  readonly logits?: boolean;
  readonly window?: number;
  readonly json?: boolean;
}

export const score: AddCommand = (program, context) => {
  const command = program
    .command("score")
    .description("Perplexity of a text, or the logits of the next token after each position.")
    .option("-f, --file <path>", "the text; - reads it from standard input")
    .addOption(new Option("--ids <list>", "token ids in place of a text").argParser(ids).conflicts("file"))
    .addOption(
      new Option("--logits", "print the logits after each position (needs --json)").conflicts("window"),
    )
    .option(
      "--window <n>",
      "tokens that the model sees at once (default: its context, at most 2048)",
      integer(2),
    );
  jsonFlag(modelFlags(command))
    .addHelpText(
      "after",
      examples(
        "score --file chapter.txt",
        "score --model ./model.gguf --file chapter.txt --window 512 --json",
        "score --model ./checkpoint --ids 1,2,3 --logits --json",
      ),
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const { io } = context;
  if (flags.file === undefined && flags.ids === undefined)
    throw new UsageError("say what to score: --file PATH, --file - for standard input, or --ids 1,2,3");
  if (flags.logits && !flags.json) throw new UsageError("--logits needs --json");
  const text = flags.file === undefined ? "" : await readText(flags.file, context);
  await withModel(context, flags, async (model) => {
    const tokens = flags.ids ?? tokenizer(model).encode(text);
    if (flags.logits)
      return printLogits(io.stdout, await model.logits(tokens, { signal: io.signal }), io.signal);
    if (flags.file !== undefined && tokens.length < 2)
      throw new ParameterError("--file", "the text is too short: at least 2 tokens are needed");
    const bar = progress(io.stderr, "scoring", showCount);
    const result = await model
      .score(tokens, {
        ...(flags.window === undefined ? {} : { window: flags.window }),
        onProgress: bar.update,
        signal: io.signal,
      })
      .finally(bar.end);
    const { nll, perplexity } = result;
    if (flags.json) return printJson(io.stdout, { tokens: result.tokens, nll, perplexity });
    return print(
      io.stdout,
      `perplexity ${perplexity.toPrecision(6)}\n${result.tokens} tokens scored, ` +
        `${(nll / result.tokens).toPrecision(6)} nats each, ${nll.toPrecision(8)} in all\n`,
    );
  });
}

function tokenizer(model: LanguageModel): NonNullable<LanguageModel["tokenizer"]> {
  if (model.tokenizer === undefined)
    throw new ParameterError("--file", `${model.name} has no tokenizer; give token ids with --ids`);
  return model.tokenizer;
}

async function readText(path: string, { io }: CommandContext): Promise<string> {
  if (path === "-") return readAll(io.stdin, "--file", io.signal);
  try {
    return textOf(await readFile(path, { signal: io.signal }), "--file", path);
  } catch (error) {
    if (error instanceof ParameterError) throw error;
    io.signal.throwIfAborted();
    const { fileProblem } = await import("../../checkpoint/file.ts");
    throw new ParameterError("--file", `${path}: ${fileProblem(error)}`);
  }
}

/**
 * One row after another, so that the text of all is never held at once. Numbers are written with the digits
 * of their exact value, so that f32 comes back; what is not finite, which JSON cannot hold, as null.
 */
async function printLogits(
  output: Output,
  rows: readonly Float32Array[],
  signal: AbortSignal,
): Promise<void> {
  await print(output, '{"logits":[');
  for (const [i, row] of rows.entries()) {
    signal.throwIfAborted();
    const text = row.every(Number.isFinite)
      ? row.join(",")
      : Array.from(row, (x) => (Number.isFinite(x) ? x : "null")).join(",");
    await print(output, `${i > 0 ? "," : ""}[${text}]`);
  }
  await print(output, "]}\n");
}
