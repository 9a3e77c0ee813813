/** `fovea bench`: how fast a model reads a prompt and writes, with the machine described. */
import { Option } from "commander";
import { type AddCommand, type CommandContext, examples } from "../command.ts";
import { address, integer, jsonFlag, type ModelFlags, modelFlags } from "../flags.ts";
import { print, printJson } from "../io.ts";
import { type Machine, machine, measure, type Rates } from "../measure.ts";
import { withModel } from "../open-model.ts";
import { profileOf } from "../price/report.ts";
import { progress } from "../progress.ts";
import { showBytes, showCount, showRate, table } from "../show.ts";

interface Flags extends ModelFlags {
  readonly promptTokens?: number;
  readonly genTokens?: number;
  readonly runs?: number;
  readonly profile?: boolean;
  readonly noisy?: boolean;
  readonly url?: string;
  readonly json?: boolean;
}

export const bench: AddCommand = (program, context) => {
  const command = modelFlags(
    program.command("bench").description("Measure how fast a model reads a prompt and writes."),
  )
    .addOption(
      new Option("--random <shape:format>", "random weights of a known shape, made in memory").conflicts(
        "model",
      ),
    )
    .option(
      "--prompt-tokens <n>",
      "length of the prompt (default: 512); of the longest with --profile (2048)",
      integer(1),
    )
    .option("--gen-tokens <n>", "tokens to write after it (default: 64)", integer(2))
    .option(
      "--runs <n>",
      "runs after one to warm up, of which medians are told (default: 3); with --profile, times of each request, of which the least is kept (10)",
      integer(1),
    )
    .option("--profile", "time requests of many lengths, and keep that for fovea price")
    .option("--noisy", "with --profile: keep it even where the machine was too noisy")
    .option(
      "--url <url>",
      "with --profile: time a server's API instead, such as http://127.0.0.1:8080/v1",
      address,
    );
  jsonFlag(command)
    .addHelpText(
      "after",
      `${examples(
        "bench --model ./model.gguf",
        "bench --random llama-1.1b:q4_0 --threads 2 --json",
        "bench --random qwen2.5-0.5b:q8_0 --prompt-tokens 128 --gen-tokens 32 --runs 5",
        "bench --model ./model.gguf --profile",
      )}\nShapes: stories-260k, llama-6m, llama-6m-gqa, llama-10m, smollm2-135m, qwen2.5-0.5b, qwen3-0.6b, llama-1.1b, llama-3.2-1b
Formats: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_K, q5_K, q6_K, i8_row\n`,
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const { io } = context;
  if (flags.url !== undefined) return profileOf(flags, context);
  await withModel(context, flags, async (model, loadMs) => {
    if (flags.profile) return profileOf(flags, context, model);
    const bar = progress(io.stderr, "measuring", (runs) => runs.toFixed(0));
    const { promptTokens = 512, genTokens = 64, runs = 3 } = flags;
    const workload = { promptTokens, genTokens, runs };
    const rates = await measure(model, workload, bar.update, io.signal).finally(bar.end);
    const { architecture, device, precision, parameters, formats, weightsBytes, memory } = model.describe();
    const report: Report = {
      model: model.name,
      architecture,
      parameters,
      formats,
      device,
      precision,
      threads: flags.threads ?? null,
      prefill: { tokens: promptTokens, ...rates.prefill },
      decode: { tokens: genTokens, ...rates.decode },
      first_token_ms: rates.firstTokenMs,
      load_ms: loadMs,
      runs,
      weights_bytes: weightsBytes,
      buffers_bytes: memory.buffers + memory.arena,
      peak_memory_bytes: process.resourceUsage().maxRSS * 1024,
      machine: machine(),
    };
    await (flags.json ? printJson(io.stdout, report) : print(io.stdout, text(report)));
  });
}

interface Report {
  readonly model: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly formats: Readonly<Record<string, number>>;
  readonly device: string;
  readonly precision: string;
  readonly threads: number | null;
  readonly prefill: Rates & { readonly tokens: number };
  readonly decode: Rates & { readonly tokens: number };
  readonly first_token_ms: number;
  readonly load_ms: number;
  readonly runs: number;
  readonly weights_bytes: number;
  readonly buffers_bytes: number;
  readonly peak_memory_bytes: number;
  readonly machine: Machine;
}

function text(report: Report): string {
  const rate = ({ tokens, tokens_per_second, min, max }: Report["prefill"]): string[] => [
    `${showRate(tokens_per_second)} tokens/s`,
    `${tokens} tokens, ${showRate(min)} to ${showRate(max)}`,
  ];
  const { cpu, cores, memory_bytes: memory } = report.machine;
  const formats =
    Object.keys(report.formats).join(" + ") +
    (report.precision === "bf16" ? ", floats multiplied in bf16" : "");
  return table([
    ["model", report.model, `${report.architecture}, ${showCount(report.parameters)} parameters`],
    ["weights", showBytes(report.weights_bytes), formats],
    ["device", report.device, `${cpu}, ${cores} cores, ${showBytes(memory)}`],
    ["prefill", ...rate(report.prefill)],
    ["decode", ...rate(report.decode)],
    ["load", `${report.load_ms.toFixed(0)} ms`, ""],
    ["memory", showBytes(report.peak_memory_bytes), "at most, of the whole process"],
  ]);
}
