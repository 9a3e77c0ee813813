/** What a user hands to a language model and gets back. Types only: the faces are written against these. */
import type { EncodeOptions, Tokenizer } from "../checkpoint/tokenizer/index.ts";
import type { Grammar } from "../decode/grammar/index.ts";
import type { TokenLogprob } from "../decode/logprobs.ts";
import type { SamplingOptions } from "../decode/sampling.ts";
import type { Monitor } from "../engine/report.ts";
import type { CacheFormat, Precision } from "../ops/index.ts";

export interface OpenOptions {
  /** What the model is called. Default: the name of its folder or file, or its id. */
  readonly name?: string;
  /** Where the arithmetic runs; `auto` takes the fastest that works here. Default `auto`. */
  readonly device?: "native" | "wasm" | "reference" | "auto";
  /** Threads of the device. Default: the cores this process may use. */
  readonly threads?: number;
  /**
   * Of products with weights of float formats (f32, f16, bf16): `f32` multiplies them as they are; `bf16` first rounds
   * weights and activations to bf16, as PyTorch does with a checkpoint in bf16, and sums in f32. Where the
   * processor has tiles of AMX (`describe().device` names the set `amx`), prompts and large batches are several times as
   * fast, and one sequence alone decodes an eighth slower; elsewhere all is slower, decoding by more than half. Quantized
   * weights and those of experts are multiplied as ever. Default `f32`.
   */
  readonly precision?: Precision;
  /**
   * Number format of cached keys and values. Default: f32 for a checkpoint in f32, otherwise f16. `q8_0` takes 53 %
   * of the memory of f16, is rounded more coarsely, and needs heads whose width is a multiple of 32.
   */
  readonly cacheFormat?: CacheFormat;
  /**
   * Tokens that the cache may hold: of all generations under way, and of prompts that are kept for later ones.
   * Default: 32 times the context or 1 GiB, whichever is less, but at least the context.
   */
  readonly cacheTokens?: number;
  /** Generations that run at once; more wait. Default 32. */
  readonly sequences?: number;
  /**
   * Whether packed weights (of 32 MiB and more) are kept in a file, so that the next start is quick: beside the
   * checkpoint (default, true), in the folder that is named, or not at all (false). A file that does not fit is told
   * and replaced.
   */
  readonly packedCache?: boolean | string;
  /** Called while weights are read and packed; bytes of the checkpoint. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface GenerateOptions extends SamplingOptions {
  /** New tokens at most; default: what fits the context and the cache. 0 is refused. */
  readonly maxTokens?: number;
  /** Texts that end the generation; they are not part of the result. */
  readonly stop?: string | readonly string[];
  /** Tokens that end it, besides the checkpoint's own end tokens. */
  readonly stopTokens?: readonly number[];
  /** Go on after the checkpoint's own end tokens. Default false. */
  readonly ignoreEnd?: boolean;
  /** Alternatives to report for each token, 0 to 100; undefined: no log-probabilities at all. */
  readonly logprobs?: number;
  /**
   * What the text must be, as a JSON Schema, a pattern, a grammar in GBNF or Lark, or a combination of these. Tokens
   * that would break it are never drawn, and the text ends where it is complete. Not with `ignoreEnd`.
   */
  readonly grammar?: Grammar;
  /** Special tokens that are written into the text when they come; others never are. */
  readonly showTokens?: readonly string[];
  /** Larger is sooner when several generations run; one that has waited long enough passes all. Default 0. */
  readonly priority?: number;
  /** Milliseconds after which the generation fails unless it has ended. Default: none. */
  readonly timeout?: number;
  /**
   * Generations share what the cache keeps of prompts with others of the same salt only, so that nobody learns from the
   * time of an answer what somebody of another salt has asked. Default: the empty one.
   */
  readonly cacheSalt?: string;
  /** Ends the generation after the token that is being made, with the finish reason `abort`; nothing is thrown. */
  readonly signal?: AbortSignal;
}

export interface ChatOptions extends GenerateOptions {
  /** Tools as the template shows them to the model: `{ type: "function", function: { name, description, parameters } }`. */
  readonly tools?: readonly unknown[];
  /** More names for the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** What decides about a chat's prompt besides the messages. */
export type ChatPromptOptions = {
  readonly [K in "tools" | "variables"]?: ChatOptions[K] | undefined;
};

export type { TokenLogprob };

/** One generated token. Its text may be empty while a character or a possible stop text is incomplete. */
export interface TokenEvent {
  readonly token: number;
  readonly text: string;
  /** Of the model's own distribution; present when `logprobs` was asked for. */
  readonly logprob?: number;
  readonly top?: readonly TokenLogprob[];
}

export type FinishReason = "stop" | "length" | "abort";

export interface GenerationResult {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Tokens of the prompt that were in the cache already. */
  readonly cachedTokens?: number;
  readonly finishReason: FinishReason;
  /** The stop text that ended it, where one did. */
  readonly stop?: string;
  /** Of each token, when `logprobs` was asked for. */
  readonly logprobs?: readonly TokenEvent[];
  readonly timing: GenerationTiming;
}

/** Milliseconds and rates of one generation. */
export interface GenerationTiming {
  readonly promptMs: number;
  readonly firstTokenMs: number;
  readonly generateMs: number;
  readonly promptTokensPerSecond: number;
  readonly tokensPerSecond: number;
}

/** A generation in progress. It starts when it is first iterated or awaited, and can be consumed once. */
export interface Generation extends AsyncIterable<string> {
  /** Token by token, with log-probabilities. */
  events(): AsyncIterable<TokenEvent>;
  /** Runs to the end (whatever was consumed before) and gives everything. */
  result(): Promise<GenerationResult>;
}

export interface ChatMessage {
  readonly role: string;
  /** Null only where an assistant called tools and said nothing. */
  readonly content: string | null;
  readonly [field: string]: unknown;
}

/** What `open` gives. All work of one model runs on its own device; several generations may run at once. */
export interface LanguageModel {
  /** Name for people: the id or the file's name. */
  readonly name: string;
  readonly architecture: string;
  /** Positions that the model was made for. */
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly tokenizer: Tokenizer | undefined;
  /** Whether the checkpoint has a chat template. */
  readonly chats: boolean;
  /** Whether what is asked now is worked on at once; not while a process that holds it is started again. */
  readonly ready: boolean;
  /** What its engine does, live. Absent where nobody can look inside. */
  readonly monitor?: Monitor;
  /** For people: device, instruction set, threads, formats, bytes. */
  describe(): ModelDescription;
  /** Text (encoded with the checkpoint's own tokenizer, with its BOS) or token ids as they are. */
  generate(prompt: string | readonly number[], options?: GenerateOptions): Generation;
  /** The messages through the checkpoint's chat template. Refused when it has none. Or what `chatPrompt` gave. */
  chat(messages: readonly ChatMessage[] | readonly number[], options?: ChatOptions): Generation;
  /** The token ids that `chat` begins with: the messages through the checkpoint's chat template. */
  chatPrompt(messages: readonly ChatMessage[], options?: ChatPromptOptions): Promise<readonly number[]>;
  /** The token ids of a text. One that has far more than `most` of them is refused before all are found. */
  encode(text: string, options?: EncodeOptions & { readonly most?: number }): Promise<readonly number[]>;
  /** Logits of the next token after each position: one row of `vocabularySize` for each id. */
  logits(ids: readonly number[], options?: { signal?: AbortSignal }): Promise<Float32Array[]>;
  /** Log-probabilities of ids[1..] given what stands before each, with the `top` likeliest tokens there (default 0). */
  logprobs(
    ids: readonly number[],
    options?: { readonly top?: number; readonly signal?: AbortSignal },
  ): Promise<ScoredToken[]>;
  /** Negative log-likelihood (nats) of ids[1..] given what stands before each, in windows of the context. */
  score(ids: readonly number[], options?: ScoreOptions): Promise<ScoreResult>;
  close(): Promise<void>;
}

/** A token of a text, and what else might have stood there. */
export interface ScoredToken extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

export interface ScoreOptions {
  /** Tokens of a window; default: the context length, at most 2048. */
  readonly window?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface ScoreResult {
  /** Tokens that were predicted: all but the first. */
  readonly tokens: number;
  /** Sum over them, in nats. */
  readonly nll: number;
  /** e to the mean of them. */
  readonly perplexity: number;
}

export interface ModelDescription {
  readonly architecture: string;
  readonly device: string;
  /** Of products with weights of float formats. */
  readonly precision: Precision;
  readonly parameters: number;
  /** Bytes of the weights by number format, as the checkpoint has them. */
  readonly formats: Readonly<Record<string, number>>;
  readonly weightsBytes: number;
  readonly memory: { readonly buffers: number; readonly arena: number };
}
