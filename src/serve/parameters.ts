/**
 * The request fields that chat and text completions share, as options of the library.
 * Knows names and ranges of the OpenAI API and the common additions to it; must not know prompts.
 */
import type { GenerateOptions, LanguageModel } from "../tasks/types.ts";
import type { Work } from "./context.ts";
import { ApiError, invalid } from "./errors.ts";
import { type Fields, shown } from "./fields.ts";

export interface Shared {
  readonly options: GenerateOptions;
  /** Choices for each prompt. */
  readonly n: number;
  readonly stream: boolean;
  /** Whether a stream ends with a chunk that tells the tokens used. */
  readonly includeUsage: boolean;
}

/** Choices of one request, over all its prompts. */
export const mostChoices = 128;
const mostStops = 64;
/** Alternatives for each token; what the library reports at most. */
export const mostLogprobs = 100;

/** Reads all shared fields but the token budget and the log-probabilities, whose names differ. */
export function sharedFields(fields: Fields, model: LanguageModel): Shared {
  checkModel(fields, model);
  const stream = fields.boolean("stream") ?? false;
  const streamOptions = fields.object("stream_options");
  const includeUsage = streamOptions?.boolean("include_usage") ?? false;
  streamOptions?.only("include_obfuscation", [false], "chunks are not padded here; leave it out");
  streamOptions?.done();
  if (streamOptions !== undefined && !stream)
    throw invalid("stream_options", "is for streams; set stream to true");
  withoutEffect(fields);
  return {
    n: fields.number("n", { integer: true, min: 1, max: mostChoices }) ?? 1,
    stream,
    includeUsage,
    options: present({
      temperature: fields.number("temperature", { min: 0, max: 2 }),
      topP: fields.number("top_p", { min: 0, max: 1 }),
      topK: fields.number("top_k", { integer: true, min: 0 }),
      minP: fields.number("min_p", { min: 0, max: 1 }),
      typicalP: aboveZero(fields, "typical_p", 1),
      repetitionPenalty: aboveZero(fields, "repetition_penalty"),
      presencePenalty: fields.number("presence_penalty", { min: -2, max: 2 }),
      frequencyPenalty: fields.number("frequency_penalty", { min: -2, max: 2 }),
      seed: fields.number("seed", { integer: true }),
      logitBias: logitBias(fields, model.vocabularySize),
      stop: stops(fields),
      stopTokens: stopTokens(fields, model.vocabularySize),
      ignoreEnd: fields.boolean("ignore_eos"),
    }),
  };
}

/** New tokens at most, which the context must have room for even without a prompt. */
export function tokenBudget(
  fields: Fields,
  field: string,
  { contextLength }: LanguageModel,
): number | undefined {
  const tokens = fields.number(field, { integer: true, min: 1 });
  if (tokens !== undefined && tokens > contextLength)
    throw invalid(
      field,
      `${tokens} tokens exceed the model's context of ${contextLength}`,
      "context_length_exceeded",
    );
  return tokens;
}

/** The options with a value. */
export function present<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** Options of choice `i` of a prompt: each has its own seed, so that choices differ and can be repeated. */
export function optionsOfChoice(options: GenerateOptions, i: number, work: Work): GenerateOptions {
  const { seed } = options;
  if (seed === undefined) return { ...options, ...work.options };
  return { ...options, ...work.options, seed: seed > 0 ? seed - i : seed + i };
}

/** Another model's name is a 404. */
export function checkModel(fields: Fields, model: LanguageModel): void {
  const name = fields.string("model");
  if (name !== undefined && name !== model.name)
    throw new ApiError(404, `model: this server serves "${model.name}", not ${shown(name)}`, {
      param: "model",
      code: "model_not_found",
    });
}

/** Fields of the standard that cannot change a result here: they are checked and left. */
function withoutEffect(fields: Fields): void {
  fields.string("user");
  fields.string("safety_identifier");
  fields.string("prompt_cache_key");
  fields.only("service_tier", ["auto", "default"], 'there is one tier here; leave it out or say "auto"');
}

/** A number that turns its sampler off where it is 1. */
export function aboveZero(fields: Fields, field: string, max = Number.MAX_VALUE): number | undefined {
  const value = fields.number(field, { min: 0, max });
  if (value === 0) throw invalid(fields.name(field), "must be above 0; 1 is off");
  return value;
}

function logitBias(fields: Fields, vocabularySize: number): Record<number, number> | undefined {
  const entries = fields.entries("logit_bias");
  for (const [token, bias] of entries) {
    if (!/^\d+$/.test(token) || Number(token) >= vocabularySize)
      throw invalid("logit_bias", `${shown(token)} is not a token id from 0 to ${vocabularySize - 1}`);
    if (typeof bias !== "number" || !(bias >= -100 && bias <= 100))
      throw invalid("logit_bias", `the bias of token ${token} must be a number from -100 to 100`);
  }
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as Record<number, number>);
}

/** `stop`: a string or several. */
export function stops(fields: Fields): string[] | undefined {
  const value = fields.take("stop");
  if (value === undefined) return undefined;
  const name = fields.name("stop");
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > mostStops) throw invalid(name, `takes at most ${mostStops} strings`);
  return list.map((text) => {
    if (typeof text !== "string") throw invalid(name, "must be a string or a list of strings");
    if (text === "") throw invalid(name, "an empty string would stop at once; leave it out");
    return text;
  });
}

function stopTokens(fields: Fields, vocabularySize: number): number[] | undefined {
  const value = fields.take("stop_token_ids");
  return value === undefined ? undefined : tokenIds(value, "stop_token_ids", vocabularySize);
}

/** A list of token ids of the vocabulary. */
export function tokenIds(value: unknown, name: string, vocabularySize: number): number[] {
  if (!Array.isArray(value)) throw invalid(name, "must be a list of token ids");
  for (const id of value as unknown[])
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= vocabularySize)
      throw invalid(name, `${shown(id)} is not a token id from 0 to ${vocabularySize - 1}`);
  return value as number[];
}
