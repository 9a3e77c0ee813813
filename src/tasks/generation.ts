/** A generation as the user sees it: tokens become text, stops end it, and everything is kept for the result. */
import { FoveaError, ParameterError } from "../base/errors.ts";
import type { Detokenizer } from "../checkpoint/tokenizer/index.ts";
import type { Constraint, Grammar } from "../decode/grammar/index.ts";
import { type Choice, SAMPLING_OPTIONS, type SamplingOptions, samplingFrom } from "../decode/sampling.ts";
import { StopMatcher, stopsFrom } from "../decode/stops.ts";
import type { Engine } from "../engine/engine.ts";
import type { FinishReason, GenerateOptions, Generation, GenerationResult, TokenEvent } from "./types.ts";

export interface GenerationParts {
  readonly engine: Engine;
  /** Made anew for each generation; absent: the checkpoint has no tokenizer, and all text is empty. */
  readonly detokenizer: Detokenizer | undefined;
  /** Tokens that end a text, as the checkpoint says. */
  readonly endTokens: readonly number[];
  /** The grammar at its beginning. */
  readonly constrain: (grammar: Grammar, ends: readonly number[]) => Constraint;
  /** The prompt's ids; called when the generation starts. */
  readonly prompt: () => readonly number[];
  /** Whether the text goes on from the prompt's own, so that a space between the two is kept, or begins anew. */
  readonly continues: boolean;
}

const OWN_OPTIONS = [
  "maxTokens",
  "stop",
  "stopTokens",
  "ignoreEnd",
  "grammar",
  "showTokens",
  "priority",
  "timeout",
  "cacheSalt",
  "signal",
] as const;

export class TextGeneration implements Generation {
  private readonly parts: GenerationParts;
  private readonly options: GenerateOptions;
  private readonly source: AsyncGenerator<TokenEvent>;
  private readonly all: TokenEvent[] = [];
  private finishReason: FinishReason = "abort";
  private stopped: string | undefined;
  private promptTokens = 0;
  private cachedTokens = 0;
  private readonly times = { start: 0, prompt: 0, first: 0, end: 0 };
  private taken = false;
  /** Text that was held back when the generation was given up between two tokens. */
  private tail = "";

  constructor(parts: GenerationParts, options: GenerateOptions) {
    this.parts = parts;
    this.options = options;
    this.source = this.run();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for await (const { text } of this.events()) if (text !== "") yield text;
    if (this.tail !== "") yield this.tail;
  }

  events(): AsyncGenerator<TokenEvent> {
    if (this.taken) throw new FoveaError("a generation can be consumed once; call generate again");
    this.taken = true;
    return this.source;
  }

  async result(): Promise<GenerationResult> {
    this.taken = true;
    for await (const _ of this.source);
    const { start, prompt, first, end } = this.times;
    const tokens = this.all.map((event) => event.token);
    const rate = (count: number, ms: number): number => (count > 0 && ms > 0 ? (1000 * count) / ms : 0);
    return {
      text: this.all.map((event) => event.text).join("") + this.tail,
      tokens,
      promptTokens: this.promptTokens,
      cachedTokens: this.cachedTokens,
      finishReason: this.finishReason,
      ...(this.stopped === undefined ? {} : { stop: this.stopped }),
      ...(this.options.logprobs === undefined ? {} : { logprobs: this.all }),
      timing: {
        promptMs: prompt - start,
        firstTokenMs: first - start,
        generateMs: end - first,
        promptTokensPerSecond: rate(this.promptTokens, prompt - start),
        tokensPerSecond: rate(tokens.length - 1, end - first),
      },
    };
  }

  private async *run(): AsyncGenerator<TokenEvent> {
    const { signal, ignoreEnd = false, cacheSalt } = this.options;
    const { engine, detokenizer, endTokens } = this.parts;
    const { priority, timeout } = limitsFrom(this.options);
    const sampling = samplingFrom(samplingOptions(this.options, this.parts.continues));
    const stops = stopsFrom(this.options);
    const prompt = this.parts.prompt();
    const maxTokens = tokenBudget(this.options.maxTokens, prompt.length, engine);
    const ends = new Set([...stops.tokens, ...(ignoreEnd ? [] : endTokens)]);
    const matcher = stops.strings.length > 0 ? new StopMatcher(stops.strings) : undefined;
    this.promptTokens = prompt.length;
    const constraint = this.constraint([...ends]);
    // A grammar decides about every byte: none may be taken for a space that begins a text.
    if (this.parts.continues || constraint) for (const id of prompt) detokenizer?.push(id);
    this.times.start = this.times.prompt = this.times.first = this.times.end = performance.now();
    const onPrompt = (cached: number): void => {
      this.cachedTokens = cached;
      this.times.prompt = this.times.first = this.times.end = performance.now();
    };
    // The engine may be ahead of the reader, whose own place in the grammar is this.
    const place = constraint?.fork();
    let count = 0;
    let complete = false;
    try {
      const request = {
        prompt,
        sampling,
        maxTokens,
        ends,
        mask: constraint,
        signal,
        onPrompt,
        priority,
        timeout,
      };
      for await (const choice of engine.generate({ ...request, salt: cacheSalt })) {
        place?.accept(choice.token);
        this.times.end = performance.now();
        if (count === 0) this.times.first = this.times.end;
        count++;
        const ended = ends.has(choice.token);
        const last = ended || place?.finished === true || count >= maxTokens || signal?.aborted === true;
        let text = ended ? "" : (detokenizer?.push(choice.token) ?? "");
        if (last) text += detokenizer?.flush() ?? "";
        const matched = matcher?.push(text);
        if (matched) text = matched.emit;
        const stopped = matched?.stopped;
        if (last && stopped === undefined) text += matcher?.flush() ?? "";
        if (ended || stopped !== undefined || place?.finished) this.finishReason = "stop";
        else if (count >= maxTokens) this.finishReason = "length";
        this.stopped = stopped;
        complete = last || stopped !== undefined;
        yield this.keep(choice, text);
        if (complete) return;
      }
    } finally {
      if (!complete) {
        const held = detokenizer?.flush() ?? "";
        this.tail = matcher ? matcher.push(held).emit + matcher.flush() : held;
      }
    }
  }

  private constraint(ends: readonly number[]): Constraint | undefined {
    const { grammar, ignoreEnd } = this.options;
    if (grammar === undefined) return undefined;
    if (ignoreEnd)
      throw new ParameterError("ignoreEnd", "cannot go on after the end of a text with a grammar");
    return this.parts.constrain(grammar, ends);
  }

  private keep(choice: Choice, text: string): TokenEvent {
    const event = { ...choice, text };
    this.all.push(event);
    return event;
  }
}

/** What belongs to sampling. Anything that nobody knows is refused by name. */
function samplingOptions(options: GenerateOptions, continues: boolean): SamplingOptions {
  const own: readonly string[] = OWN_OPTIONS;
  const known = [...own, ...SAMPLING_OPTIONS];
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    // Those of a chat alone were taken out before.
    const names = continues ? known : [...known, "tools", "variables"];
    throw new ParameterError(unknown, `no such option; there are ${names.sort().join(", ")}`);
  }
  return Object.fromEntries(Object.entries(options).filter(([name]) => !own.includes(name)));
}

/** Checks what the scheduler is told. */
function limitsFrom({ priority, timeout, cacheSalt }: GenerateOptions): GenerateOptions {
  if (priority !== undefined && !Number.isFinite(priority))
    throw new ParameterError("priority", `must be a finite number, not ${priority}`);
  if (timeout !== undefined && !(timeout > 0))
    throw new ParameterError("timeout", `must be milliseconds above 0, not ${timeout}`);
  if (cacheSalt !== undefined && typeof cacheSalt !== "string")
    throw new ParameterError("cacheSalt", "must be a text");
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(timeout === undefined ? {} : { timeout }),
  };
}

/** Tokens that may be generated, checked against the context; the engine checks them against the cache. */
function tokenBudget(
  asked: number | undefined,
  promptLength: number,
  { decoder, cacheTokens }: Engine,
): number {
  const { context } = decoder.parts;
  const room = context - promptLength;
  if (room < 1)
    throw new ParameterError(
      "prompt",
      `has ${promptLength} tokens, which leaves no room in the context of ${context}`,
    );
  if (asked === undefined) return Math.max(1, Math.min(room, cacheTokens - promptLength));
  if (!Number.isSafeInteger(asked) || asked < 1)
    throw new ParameterError("maxTokens", `must be a whole number from 1, not ${asked}`);
  if (asked > room)
    throw new ParameterError(
      "maxTokens",
      `${promptLength} prompt tokens and ${asked} new ones exceed the context of ${context}`,
    );
  return asked;
}
