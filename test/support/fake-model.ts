/**
 * A language model without a model: bytes are tokens, and the answer is written beforehand. It keeps the
 * contract of src/tasks/types.ts (limits, stops, abort, log-probabilities), so faces can be tested without weights.
 */
import { ParameterError } from "../../src/base/errors.ts";
import { ChatTemplate } from "../../src/checkpoint/tokenizer/chat-template.ts";
import type { Tokenizer } from "../../src/checkpoint/tokenizer/tokenizer.ts";
import { GrammarCompiler } from "../../src/decode/grammar/index.ts";
import { logprobOf, topLogprobs } from "../../src/decode/logprobs.ts";
import { samplingFrom } from "../../src/decode/sampling.ts";
import { StopMatcher } from "../../src/decode/stops.ts";
import { isIds, promptIds } from "../../src/tasks/prompt-ids.ts";
import type {
  ChatMessage,
  ChatOptions,
  FinishReason,
  GenerateOptions,
  Generation,
  GenerationResult,
  LanguageModel,
  TokenEvent,
} from "../../src/tasks/types.ts";

const BOS = 256;
const EOS = 257;

export interface FakeOptions {
  /** What every generation says before its end token, or what it says to a prompt. */
  readonly answer?: string | ((prompt: string) => string);
  readonly contextLength?: number;
  readonly chats?: boolean;
  /** What the tokenizer says is its chat template. */
  readonly template?: string;
  /** Whether prompts are made by it, and not plainly. */
  readonly rendered?: boolean;
  readonly tokenizer?: boolean;
  /** Milliseconds between two tokens; the first comes at once. Or what token `i` waits for. */
  readonly delay?: number | ((i: number) => Promise<unknown>);
}

export interface FakeModel extends LanguageModel {
  /** Options of every generation, in order. */
  readonly calls: { readonly prompt: readonly number[]; readonly options: ChatOptions }[];
  /** How each generation ended. */
  readonly endings: FinishReason[];
  closed: boolean;
}

const encoder = new TextEncoder();

export const byteTokenizer: Tokenizer = {
  vocabSize: 258,
  bos: BOS,
  eos: [EOS],
  encode: (text, options) => [...(options?.addSpecial === false ? [] : [BOS]), ...encoder.encode(text)],
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < BOS))),
  tokenBytes: (id) => (id < BOS ? Uint8Array.of(id) : encoder.encode(id === BOS ? "<s>" : "</s>")),
  isSpecial: (id) => id >= BOS,
  id: (token) => (token === "<s>" ? BOS : token === "</s>" ? EOS : undefined),
  token: (id) => (id === BOS ? "<s>" : id === EOS ? "</s>" : String.fromCharCode(id)),
  detokenizer() {
    let decoder = new TextDecoder();
    return {
      push: (id) => (id < BOS ? decoder.decode(Uint8Array.of(id), { stream: true }) : ""),
      flush() {
        const rest = decoder.decode();
        decoder = new TextDecoder();
        return rest;
      },
    };
  },
};

export function fakeModel(fake: FakeOptions = {}): FakeModel {
  const { answer = "Hello, world! Grüße 🌍.", contextLength = 128, chats = true, delay = 0 } = fake;
  const wait = async (i: number): Promise<void> => {
    if (typeof delay !== "number") await delay(i);
    else if (delay > 0 && i > 0) await new Promise((resolve) => setTimeout(resolve, delay));
  };
  const template =
    fake.template === undefined
      ? {}
      : { chatTemplate: new ChatTemplate(fake.template, {}, "fake", "chat_template") };
  const tokenizer = fake.tokenizer === false ? undefined : { ...byteTokenizer, ...template };
  const calls: FakeModel["calls"] = [];
  const endings: FinishReason[] = [];
  const start = (prompt: readonly number[], options: ChatOptions): Generation => {
    calls.push({ prompt, options });
    const { tools, variables, showTokens, ...others } = options;
    return generation(prompt, others);
  };
  function generation(prompt: readonly number[], options: GenerateOptions): Generation {
    const { maxTokens, stop = [], stopTokens = [], ignoreEnd, grammar, logprobs, signal, ...rest } = options;
    const { cacheSalt: _, priority: __, timeout: ___, ...sampling } = rest;
    samplingFrom(sampling);
    // The answer is given, and must keep to the grammar.
    const constraint = grammar && new GrammarCompiler(byteTokenizer).compile(grammar).start([EOS]);
    const room = contextLength - prompt.length;
    if (room < (maxTokens ?? 1))
      throw new ParameterError(
        room < 1 ? "prompt" : "maxTokens",
        `${prompt.length} tokens of the prompt and ${maxTokens ?? 1} new ones exceed the context of ${contextLength}`,
      );
    const limit = maxTokens ?? room;
    const tokens: number[] = [];
    const events: TokenEvent[] = [];
    let text = "";
    let reason: FinishReason = "length";
    let stopText: string | undefined;
    async function* run(): AsyncGenerator<TokenEvent> {
      const matcher = new StopMatcher(typeof stop === "string" ? [stop] : stop);
      const detokenizer = byteTokenizer.detokenizer();
      const script = encoder.encode(
        typeof answer === "string" ? answer : answer(byteTokenizer.decode(prompt)),
      );
      for (let i = 0; i < limit; i++) {
        await wait(i);
        if (signal?.aborted) {
          reason = "abort";
          break;
        }
        const token = ignoreEnd ? script[i % script.length]! : (script[i] ?? EOS);
        const ends = token === EOS || stopTokens.includes(token);
        constraint?.accept(token);
        tokens.push(token);
        const last = ends || i === limit - 1;
        const decoded = (ends ? "" : detokenizer.push(token)) + (last ? detokenizer.flush() : "");
        const { emit, stopped } = matcher.push(decoded);
        const piece = emit + (last ? matcher.flush() : "");
        text += piece;
        const top = Array.from({ length: logprobs ?? 0 }, (_, k) => ({
          token: (token + k) % 256,
          logprob: -0.5 - k,
        }));
        const event = { token, logprob: -0.5, text: piece, ...(logprobs === undefined ? {} : { top }) };
        events.push(event);
        yield event;
        stopText = stopped;
        if (ends || stopped !== undefined) {
          reason = "stop";
          break;
        }
      }
      endings.push(reason);
    }
    const source = run();
    const asEvents = { [Symbol.asyncIterator]: () => source };
    return {
      events: () => asEvents,
      async *[Symbol.asyncIterator]() {
        for await (const { text: piece } of asEvents) if (piece !== "") yield piece;
      },
      async result(): Promise<GenerationResult> {
        for await (const _ of asEvents);
        return {
          text,
          tokens,
          promptTokens: prompt.length,
          finishReason: reason,
          ...(stopText === undefined ? {} : { stop: stopText }),
          ...(logprobs === undefined ? {} : { logprobs: events }),
          timing: {
            promptMs: 10,
            firstTokenMs: 12,
            generateMs: 20,
            promptTokensPerSecond: prompt.length * 100,
            tokensPerSecond: tokens.length * 50,
          },
        };
      },
    };
  }
  function chatPrompt(
    messages: readonly ChatMessage[],
    options: { readonly tools?: unknown; readonly variables?: unknown } = {},
  ): number[] {
    if (fake.rendered) {
      const text = template.chatTemplate!.render(messages, {
        addGenerationPrompt: true,
        ...(options as object),
      });
      return byteTokenizer.encode(text, { addSpecial: false });
    }
    if (!chats) throw new ParameterError("messages", "the checkpoint has no chat template");
    return byteTokenizer.encode(
      messages
        .map(
          ({ role, content, tool_calls }) =>
            `${role}: ${content}${tool_calls ? JSON.stringify(tool_calls) : ""}\n`,
        )
        .join(""),
    );
  }
  return {
    name: "fake",
    architecture: "llama",
    contextLength,
    vocabularySize: 258,
    tokenizer,
    chats,
    calls,
    endings,
    closed: false,
    ready: true,
    describe: () => ({
      architecture: "llama",
      device: "none",
      precision: "f32",
      parameters: 1000,
      formats: { f32: 4000 },
      weightsBytes: 4000,
      memory: { buffers: 4000, arena: 0 },
    }),
    generate: (prompt, options = {}) =>
      start(typeof prompt === "string" ? byteTokenizer.encode(prompt) : prompt, options),
    chat: (messages, options = {}) =>
      start(isIds(messages) ? messages : chatPrompt(messages, options), options),
    chatPrompt: async (messages, options) => chatPrompt(messages, options),
    encode: async (text, { most = Number.POSITIVE_INFINITY, ...options } = {}) =>
      promptIds(byteTokenizer, text, most, options),
    // Position i gives the logits i, i + 1/3, ... so that every value is known and none is a round number.
    logits: async (ids) => ids.map((_, i) => Float32Array.from({ length: 258 }, (_, k) => i + k / 3)),
    async logprobs(ids, { top = 0 } = {}) {
      const rows = await this.logits(ids);
      return ids.slice(1).map((token, i) => ({
        ...{ token, logprob: logprobOf(rows[i]!, token) },
        top: topLogprobs(rows[i]!, top),
      }));
    },
    score: async (ids) => ({ tokens: ids.length - 1, nll: ids.length - 1, perplexity: Math.E }),
    async close() {
      this.closed = true;
    },
  };
}
