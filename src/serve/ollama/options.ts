/**
 * The fields that Ollama's chat and generate share, as options of the library. Knows their names, ranges and special
 * values; must not know prompts.
 */
import type { GenerateOptions, LanguageModel } from "../../tasks/types.ts";
import { ApiError, invalid } from "../errors.ts";
import { type Fields, shown } from "../fields.ts";
import { aboveZero, mostLogprobs, present, stops } from "../parameters.ts";
import { anyObject, formatOf } from "../response-format.ts";
import type { Talk } from "../talk.ts";

export interface OllamaShared {
  readonly stream: boolean;
  readonly options: GenerateOptions;
  /** Tokens that prompt and answer may have together. */
  readonly context: number;
  readonly logprobs: boolean;
  readonly think: boolean | undefined;
  /** What the answer must be. */
  readonly format: Talk["format"];
}

/** Ollama calls a model by name and tag; ours have no tags. */
export function checkName(fields: Fields, model: LanguageModel): void {
  const name = fields.string("model") ?? fields.string("name");
  if (name === undefined) throw invalid("model", `is needed; this server serves "${model.name}"`);
  if (name !== model.name && name !== `${model.name}:latest`)
    throw new ApiError(404, `model ${shown(name)} not found: this server serves "${model.name}"`, {
      param: "model",
      code: "model_not_found",
    });
}

export function parseShared(fields: Fields, model: LanguageModel): OllamaShared {
  checkName(fields, model);
  keepAlive(fields);
  const think = fields.boolean("think");
  const format = formatField(fields.take("format"));
  const logprobs = fields.boolean("logprobs") ?? false;
  const top = fields.number("top_logprobs", { integer: true, min: 0, max: mostLogprobs });
  if (top !== undefined && !logprobs) throw invalid("top_logprobs", "needs logprobs: true");
  const own = fields.object("options");
  const { context, options } = own ? parseOptions(own, model) : { context: model.contextLength, options: {} };
  own?.done();
  return {
    stream: fields.boolean("stream") ?? true,
    context,
    logprobs,
    think,
    format,
    options: { ...options, ...present({ logprobs: logprobs ? (top ?? 0) : undefined }) },
  };
}

/** "json" is any object, an object is a schema. */
function formatField(value: unknown): Talk["format"] {
  if (value === undefined || value === "") return undefined;
  if (value === "json") return { grammar: anyObject, field: "format" };
  if (typeof value !== "object" || Array.isArray(value))
    throw invalid("format", `must be "json" or a JSON Schema, not ${shown(value)}`);
  return { grammar: formatOf(value), field: "format" };
}

/**
 * The model stays as long as the server, which is at least as long as all but one of these ask for: none at all asks
 * for it to go, which would be everybody's loss.
 */
function keepAlive(fields: Fields): void {
  const value = fields.take("keep_alive");
  const duration = typeof value === "string" && /^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$|^-?\d+$/.test(value);
  if (value !== undefined && typeof value !== "number" && !duration)
    throw invalid("keep_alive", `must be seconds or a duration such as "5m", not ${shown(value)}`);
  // Of nothing but zeros, whatever the units.
  if (value === 0 || (duration && !/[1-9]/.test(value)))
    throw invalid(
      "keep_alive",
      `${shown(value)} asks for the model to be unloaded; this one stays as long as the server: leave it out`,
    );
}

/** Options that set how a model is loaded: this one is loaded already. Each with the values that are true of it. */
const loading: Readonly<Record<string, readonly unknown[]>> = {
  numa: [false],
  num_gpu: [0, -1],
  main_gpu: [0],
  low_vram: [false],
  vocab_only: [false],
  logits_all: [false],
  embedding_only: [false],
  use_mlock: [false],
};

function parseOptions(
  fields: Fields,
  model: LanguageModel,
): { readonly context: number; readonly options: GenerateOptions } {
  for (const [field, values] of Object.entries(loading))
    fields.only(field, values, "the model is loaded already; leave it out");
  fields.refuse("num_thread", "threads are set when the server starts: fovea serve --threads");
  fields.only("f16_kv", [true], "the cache is set when the server starts");
  fields.boolean("use_mmap");
  // Nothing is ever cut out of a prompt, and batches are the server's own: these cannot change a result.
  fields.number("num_keep", { integer: true });
  fields.number("num_batch", { integer: true, min: 1 });
  fields.only("mirostat", [0], "mirostat is not served");
  for (const field of ["mirostat_tau", "mirostat_eta"]) fields.number(field);
  fields.only("tfs_z", [1], "tail-free sampling is not served; 1 is off");
  fields.only("penalize_newline", [true], "a newline is penalized like any token");
  const context = fields.number("num_ctx", { integer: true, min: 1 }) ?? model.contextLength;
  if (context > model.contextLength)
    throw invalid(fields.name("num_ctx"), `${context} exceeds the model's context of ${model.contextLength}`);
  const predict = fields.number("num_predict", { integer: true, min: -2 });
  if (predict === 0)
    throw invalid(fields.name("num_predict"), "must be at least 1, or -1 for as many as fit");
  const penalty = aboveZero(fields, "repeat_penalty");
  const last = fields.number("repeat_last_n", { integer: true, min: -1 });
  return {
    context,
    options: present({
      temperature: fields.number("temperature", { min: 0, max: Number.MAX_VALUE }),
      topK: fields.number("top_k", { integer: true, min: 0 }),
      topP: fields.number("top_p", { min: 0, max: 1 }),
      minP: fields.number("min_p", { min: 0, max: 1 }),
      typicalP: aboveZero(fields, "typical_p", 1),
      // A window of none is no penalty; -1 is all of the text.
      repetitionPenalty: last === 0 ? undefined : penalty,
      repetitionWindow: last === undefined || last < 1 ? undefined : last,
      presencePenalty: fields.number("presence_penalty", { min: -2, max: 2 }),
      frequencyPenalty: fields.number("frequency_penalty", { min: -2, max: 2 }),
      seed: fields.number("seed", { integer: true }),
      stop: stops(fields),
      maxTokens: predict === undefined || predict < 0 ? undefined : predict,
    }),
  };
}

/** The token budget within the context that was asked for; both numbers are told when it is too small. */
export function budget(
  { context, options }: OllamaShared,
  prompt: number,
  model: LanguageModel,
): GenerateOptions {
  const room = context - prompt;
  // Within its own context the model knows best what fits: the cache may have less room.
  if (options.maxTokens === undefined && room > 0 && context === model.contextLength) return options;
  const wanted = options.maxTokens ?? Math.max(1, room);
  if (wanted > room)
    throw invalid(
      "options.num_ctx",
      `${prompt} tokens of the prompt and ${wanted} new ones exceed the context of ${context}`,
      "context_length_exceeded",
    );
  return { ...options, maxTokens: wanted };
}
