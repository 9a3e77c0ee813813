/** `fovea generate`: continues a text. */
import { Option } from "commander";
import { ParameterError } from "../../base/errors.ts";
import type { GenerateOptions, GenerationResult, LanguageModel } from "../../tasks/types.ts";
import { type AddCommand, type CommandContext, examples, UsageError } from "../command.ts";
import { ids, integer, jsonFlag, type ModelFlags, modelFlags } from "../flags.ts";
import { print, printJson, readAll } from "../io.ts";
import { withModel } from "../open-model.ts";
import { generateOptions, type SamplingFlags, samplingFlags } from "../sampling-flags.ts";
import { showRate } from "../show.ts";
import { timingJson } from "../timing.ts";

interface Flags extends ModelFlags, SamplingFlags {
  readonly prompt?: string;
  readonly ids?: readonly number[];
  readonly logprobs?: number;
  readonly json?: boolean;
}

const defaultMaxTokens = 256;

export const generate: AddCommand = (program, context) => {
  const command = program.command("generate").description("Continue a text.");
  command
    .option("-p, --prompt <text>", "the text to continue; - reads it from standard input")
    .addOption(new Option("--ids <list>", "token ids in place of a text").argParser(ids).conflicts("prompt"));
  samplingFlags(
    modelFlags(command),
    `new tokens at most (default: ${defaultMaxTokens}, or what fits the context)`,
  ).option(
    "--logprobs <n>",
    "report log-probabilities and n alternatives for each token (needs --json)",
    integer(0, 100),
  );
  jsonFlag(command)
    .addHelpText(
      "after",
      examples(
        'generate --prompt "Once upon a time"',
        'generate --model ./model.gguf --prompt "The capital of France is" --temperature 0 --max-tokens 8',
        "generate --model Qwen/Qwen2.5-0.5B --prompt - --stop 'Question:' --json < questions.txt",
        "generate --model ./checkpoint --ids 1,403,407 --temperature 0 --json",
      ),
    )
    .action((flags: Flags) => run(flags, context));
};

async function run(flags: Flags, context: CommandContext): Promise<void> {
  const { io } = context;
  if (flags.prompt === undefined && flags.ids === undefined)
    throw new UsageError(
      "say what to continue: --prompt TEXT, --prompt - for standard input, or --ids 1,2,3",
    );
  if (flags.logprobs !== undefined && !flags.json) throw new UsageError("--logprobs needs --json");
  const options: GenerateOptions & { seed: number } = {
    ...(await generateOptions(flags)),
    ...(flags.logprobs === undefined ? {} : { logprobs: flags.logprobs }),
    signal: io.signal,
  };
  const text = flags.prompt === "-" ? await readAll(io.stdin, "--prompt", io.signal) : (flags.prompt ?? "");
  await withModel(context, flags, async (model, loadMs) => {
    const prompt = flags.ids ?? encode(model, text);
    const room = Math.max(1, model.contextLength - prompt.length);
    const generation = model.generate(prompt, { maxTokens: Math.min(defaultMaxTokens, room), ...options });
    if (!flags.json) await stream(model, generation, context);
    const result = await generation.result();
    io.signal.throwIfAborted();
    if (flags.json) await printJson(io.stdout, report(result, options, loadMs));
    else if (io.stderr.isTTY) await print(io.stderr, summary(result));
  });
}

function encode({ name, tokenizer }: LanguageModel, text: string): number[] {
  if (tokenizer === undefined)
    throw new ParameterError("--prompt", `${name} has no tokenizer; give token ids with --ids`);
  return tokenizer.encode(text);
}

/** The text as it comes; of a model without a tokenizer, the ids. */
async function stream(
  model: LanguageModel,
  generation: ReturnType<LanguageModel["generate"]>,
  { io }: CommandContext,
): Promise<void> {
  for await (const { text, token } of generation.events())
    await print(io.stdout, model.tokenizer === undefined ? `${token} ` : text);
  await print(io.stdout, "\n");
}

const report = (result: GenerationResult, { seed, temperature }: GenerateOptions, loadMs: number) => ({
  text: result.text,
  tokens: result.tokens,
  prompt_tokens: result.promptTokens,
  finish_reason: result.finishReason,
  ...(result.stop === undefined ? {} : { stop: result.stop }),
  ...(temperature === 0 ? {} : { seed }),
  timing: { load_ms: loadMs, ...timingJson(result.timing) },
  ...(result.logprobs === undefined
    ? {}
    : { logprobs: result.logprobs.map(({ token, text, logprob, top }) => ({ token, text, logprob, top })) }),
});

const summary = ({ tokens, promptTokens, timing }: GenerationResult): string =>
  `\n${promptTokens} tokens read at ${showRate(timing.promptTokensPerSecond)}/s, ` +
  `${tokens.length} written at ${showRate(timing.tokensPerSecond)}/s, first after ${timing.firstTokenMs.toFixed(0)} ms\n`;
