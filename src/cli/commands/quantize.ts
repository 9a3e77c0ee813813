/** `fovea quantize`: converts a checkpoint to another number format, as a GGUF file or, for i8_row, a folder. */
import { statSync } from "node:fs";
import { Option } from "commander";
import { ParameterError } from "../../base/errors.ts";
import type { FormatName } from "../../format/index.ts";
import type { QuantizedTensor, QuantizeReport } from "../../tasks/quantize.ts";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { jsonFlag } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { progress } from "../progress.ts";
import { showBytes, table } from "../show.ts";

interface Flags {
  readonly model: string;
  readonly format: FormatName;
  readonly out: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** All of `format/`, which is not loaded for `--help`; a test keeps the two alike. */
export const formatChoices: readonly FormatName[] = [
  ...(["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"] as const),
  ...(["q5_0", "q5_1", "q4_K", "q5_K", "q6_K", "i8_row"] as const),
];

export const quantize: AddCommand = (program, context) => {
  const command = program
    .command("quantize")
    .description(
      "Convert a checkpoint to another number format, in GGUF or (i8_row) safetensors; tell what each tensor lost.",
    )
    .requiredOption("-m, --model <model>", "folder, .gguf file, or ORG/NAME that was pulled")
    .addOption(
      new Option("--format <format>", "of the matrices; vectors stay f32")
        .choices(formatChoices)
        .makeOptionMandatory(),
    )
    .requiredOption("-o, --out <file>", "the .gguf file to write; for i8_row, a folder for safetensors")
    .option("--force", "replace the file of --out if there is one");
  jsonFlag(command)
    .addHelpText(
      "after",
      examples(
        "quantize --model ./checkpoint --format q4_0 --out model-q4_0.gguf",
        "quantize --model Qwen/Qwen2.5-0.5B --format q8_0 --out qwen.gguf --json",
        "quantize --model ./checkpoint --format i8_row --out ./checkpoint-i8",
      ),
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(
  { model, format, out, force, json }: Flags,
  { io, services }: CommandContext,
): Promise<void> {
  // A folder that is not empty is refused in any case, and so is the file that is read.
  if (!force && statSync(out, { throwIfNoEntry: false })?.isFile())
    throw new ParameterError(
      "--out",
      `${out} is there already; name another file, or replace it with --force`,
    );
  const bar = progress(io.stderr, "converting", (tensors) => tensors.toFixed(0));
  const report = await services
    .quantize(model, {
      format,
      out,
      onTensor: ({ name }, done, total) => bar.update(done, total, name),
      signal: io.signal,
    })
    .finally(bar.end);
  await (json ? printJson(io.stdout, reportJson(report)) : print(io.stdout, text(report)));
}

const reportJson = ({ out, architecture, bytesBefore, bytesAfter, tensors }: QuantizeReport) => ({
  out,
  architecture,
  bytes_before: bytesBefore,
  bytes_after: bytesAfter,
  tensors: tensors.map(({ name, shape, from, to, bytes, relativeError, largestError }) => ({
    name,
    shape,
    from,
    to,
    bytes,
    relative_rms_error: relativeError,
    max_error: largestError,
  })),
});

function text({ out, bytesBefore, bytesAfter, tensors }: QuantizeReport): string {
  const error = (value: number): string => (value === 0 ? "exact" : value.toExponential(2));
  const row = ({ name, shape, from, to, bytes, relativeError, largestError }: QuantizedTensor): string[] => [
    name,
    shape.join(" × "),
    from,
    to,
    showBytes(bytes),
    error(relativeError),
    error(largestError),
  ];
  const header = ["tensor", "shape", "from", "to", "size", "relative RMS error", "largest error"];
  return `${table([header, ...tensors.map(row)], [4, 5, 6])}\n${out}: ${showBytes(bytesBefore)} became ${showBytes(bytesAfter)}\n`;
}
