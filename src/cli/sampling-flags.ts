/** The sampling options of the library as flags. Knows their names; what they may be is known by decode/. */
import { type Command, InvalidArgumentError } from "commander";
import { ParameterError } from "../base/errors.ts";
import type { SamplingOptions } from "../decode/sampling.ts";
import type { GenerateOptions } from "../tasks/types.ts";
import { UsageError } from "./command.ts";
import { collect, integer, number } from "./flags.ts";

export interface SamplingFlags {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly typicalP?: number;
  readonly repetitionPenalty?: number;
  readonly repetitionWindow?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly logitBias?: ReadonlyMap<number, number>;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly stopToken?: readonly number[];
  readonly ignoreEnd?: boolean;
}

/** @param maxTokensHelp what --max-tokens is, with the default that the command gives it */
export const samplingFlags = (command: Command, maxTokensHelp: string): Command =>
  command
    .option("-n, --max-tokens <n>", maxTokensHelp, integer(1))
    .option("-t, --temperature <x>", "0 takes the likeliest token; more is more varied (default: 1)", number)
    .option("--top-k <n>", "keep the n likeliest tokens; 0 is off (default: 0)", number)
    .option("--top-p <x>", "keep the likeliest tokens of this total probability (default: 1, off)", number)
    .option("--min-p <x>", "drop tokens below this share of the likeliest (default: 0, off)", number)
    .option("--typical-p <x>", "keep the most typical tokens of this probability (default: 1, off)", number)
    .option(
      "--repetition-penalty <x>",
      "above 1: what stands in the text gets less likely (default: 1)",
      number,
    )
    .option("--repetition-window <n>", "how many of the last tokens that looks at (default: all)", number)
    .option("--presence-penalty <x>", "subtracted once from tokens already generated (default: 0)", number)
    .option("--frequency-penalty <x>", "subtracted for each time they were generated (default: 0)", number)
    .option("--logit-bias <id=x>", "added to the logit of a token; repeatable; -inf bans it", bias)
    .option("--seed <n>", "the same seed gives the same text (default: a random one)", number)
    .option("--stop <text>", "end before this text; repeatable", collect)
    .option("--stop-token <id>", "end at this token; repeatable", stopToken)
    .option("--ignore-end", "go on after the model's own end token");

function bias(text: string, before: ReadonlyMap<number, number> = new Map()): ReadonlyMap<number, number> {
  const [, id, value] = /^(\d+)=(.+)$/.exec(text) ?? [];
  if (id === undefined || value === undefined)
    throw new InvalidArgumentError("It must be a token id and a number, as in 42=-5.");
  return new Map([...before, [Number(id), value === "-inf" ? -Infinity : number(value)]]);
}

const stopToken = (text: string, before: readonly number[] = []): number[] => [...before, integer(0)(text)];

const flagOf = (option: string): string => `--${option.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/**
 * The flags as options of a generation, checked before anything is opened. When no seed is given one is drawn
 * here, so that it can be told and the text repeated.
 */
export async function generateOptions(
  flags: SamplingFlags,
): Promise<GenerateOptions & { readonly seed: number }> {
  const { samplingFrom } = await import("../decode/sampling.ts");
  const { temperature, topK, topP, minP, typicalP, logitBias, seed } = flags;
  const { repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty } = flags;
  const given = {
    temperature,
    topK,
    topP,
    minP,
    typicalP,
    repetitionPenalty,
    repetitionWindow,
    presencePenalty,
    frequencyPenalty,
    logitBias,
    seed,
  };
  const sampling = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as SamplingOptions;
  try {
    return {
      ...sampling,
      seed: samplingFrom(sampling).seed,
      ...(flags.maxTokens === undefined ? {} : { maxTokens: flags.maxTokens }),
      ...(flags.stop === undefined ? {} : { stop: flags.stop }),
      ...(flags.stopToken === undefined ? {} : { stopTokens: flags.stopToken }),
      ...(flags.ignoreEnd ? { ignoreEnd: true } : {}),
    };
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error;
    throw new UsageError(error.message.replace(error.parameter, flagOf(error.parameter)));
  }
}
