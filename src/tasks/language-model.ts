/** A loaded model behind the library's face. */
import { ParameterError } from "../base/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { EncodeOptions, Tokenizer } from "../checkpoint/tokenizer/index.ts";
import { Candidates } from "../decode/candidates.ts";
import { type CompiledGrammar, type Grammar, GrammarCompiler } from "../decode/grammar/index.ts";
import { logSumExp, nll, topLogprobs } from "../decode/logprobs.ts";
import { Engine } from "../engine/engine.ts";
import { EngineMonitor } from "../engine/monitor.ts";
import type { EngineStats } from "../engine/report.ts";
import type { LoadedModel } from "../models/index.ts";
import type { Decoder } from "../nn/index.ts";
import { type CacheFormat, type Device, type Precision, tensorBytes } from "../ops/index.ts";
import { chatEncoding, chatText } from "./chat-prompt.ts";
import { TextGeneration } from "./generation.ts";
import { isIds, needIds, promptIds } from "./prompt-ids.ts";
import type {
  ChatMessage,
  ChatOptions,
  ChatPromptOptions,
  GenerateOptions,
  Generation,
  LanguageModel,
  ModelDescription,
  ScoredToken,
  ScoreOptions,
  ScoreResult,
} from "./types.ts";

/** Windows of `score` are no longer than this, whatever the context: longer ones cost more and tell little. */
const SCORE_WINDOW = 2048;
const KEPT_GRAMMARS = 32;

/** Room for kept prompts: so many contexts, unless that is more than so many bytes. */
const CACHE = { contexts: 32, bytes: 2 ** 30 };

export interface ModelParts {
  readonly name: string;
  readonly checkpoint: Checkpoint;
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly tokenizer: Tokenizer | undefined;
  readonly endTokens: readonly number[];
  readonly cacheFormat: CacheFormat;
  readonly precision: Precision;
  readonly cacheTokens?: number | undefined;
  readonly sequences?: number | undefined;
}

export class LoadedLanguageModel implements LanguageModel {
  readonly name: string;
  readonly architecture: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly ready = true;
  readonly tokenizer: Tokenizer | undefined;
  private readonly parts: ModelParts;
  readonly monitor: EngineMonitor;
  private readonly engine: Engine;
  private compiler: GrammarCompiler | undefined;
  private readonly grammars = new Map<string, CompiledGrammar>();

  constructor(parts: ModelParts) {
    const { architecture, decoder } = parts.loaded;
    this.parts = parts;
    this.name = parts.name;
    this.architecture = architecture.names[0]!;
    this.contextLength = decoder.parts.context;
    this.vocabularySize = decoder.vocabularySize;
    this.tokenizer = parts.tokenizer;
    const {
      cacheFormat,
      cacheTokens = defaultCacheTokens(decoder, cacheFormat),
      precision,
      sequences,
    } = parts;
    this.engine = new Engine(decoder, parts.device, {
      ...{ cacheFormat, cacheTokens, precision },
      ...(sequences === undefined ? {} : { sequences }),
    });
    this.monitor = new EngineMonitor(this.engine);
  }

  /** For those who measure; see `tune.ts`. */
  get device(): Device {
    return this.parts.device;
  }

  get chats(): boolean {
    return this.tokenizer?.chatTemplate !== undefined;
  }

  describe(): ModelDescription {
    const { device, loaded, precision } = this.parts;
    const { formatBytes, parameters } = loaded.weights;
    return {
      architecture: this.architecture,
      device: device.description,
      precision,
      parameters,
      formats: formatBytes,
      weightsBytes: Object.values(formatBytes).reduce((sum, bytes) => sum + bytes, 0),
      memory: device.memory(),
    };
  }

  /** What the engine does now, and has done. */
  stats(): EngineStats {
    return this.engine.stats();
  }

  generate(prompt: string | readonly number[], options: GenerateOptions = {}): Generation {
    return this.start(
      () =>
        typeof prompt === "string"
          ? promptIds(this.needTokenizer("prompt"), prompt, this.contextLength)
          : needIds(prompt, "prompt", "a text or a list of token ids"),
      options,
      true,
    );
  }

  chat(
    messages: readonly ChatMessage[] | readonly number[],
    { tools, variables, ...options }: ChatOptions = {},
  ): Generation {
    const ids = () => (isIds(messages) ? messages : this.chatIds(messages, { tools, variables }));
    return this.start(ids, options, false);
  }

  async chatPrompt(
    messages: readonly ChatMessage[],
    options: ChatPromptOptions = {},
  ): Promise<readonly number[]> {
    return this.chatIds(messages, options);
  }

  async encode(
    text: string,
    { most = Number.POSITIVE_INFINITY, ...options }: EncodeOptions & { readonly most?: number } = {},
  ): Promise<readonly number[]> {
    return promptIds(this.needTokenizer("text"), text, most, options);
  }

  private chatIds(messages: readonly ChatMessage[], options: ChatPromptOptions): readonly number[] {
    const tokenizer = this.needTokenizer("messages");
    return promptIds(
      tokenizer,
      chatText(this, tokenizer, messages, options),
      this.contextLength,
      chatEncoding,
    );
  }

  async logits(ids: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    needIds(ids, "ids", "a list of token ids (model.tokenizer makes them of a text)");
    const rows: Float32Array[] = [];
    for await (const chunk of this.engine.logits(ids, { signal }))
      for (let at = 0; at < chunk.length; at += this.vocabularySize)
        rows.push(chunk.subarray(at, at + this.vocabularySize));
    return rows;
  }

  /** Row by row as they come: all of a long text's logits might not fit into memory. */
  async logprobs(
    ids: readonly number[],
    { top = 0, signal }: { readonly top?: number; readonly signal?: AbortSignal } = {},
  ): Promise<ScoredToken[]> {
    const size = this.vocabularySize;
    const scratch = new Candidates(size);
    const scored: ScoredToken[] = [];
    for await (const chunk of this.engine.logits(ids, { signal }))
      for (let at = 0; at < chunk.length && scored.length < ids.length - 1; at += size) {
        const row = chunk.subarray(at, at + size);
        const token = ids[scored.length + 1]!;
        const normalizer = logSumExp(row);
        scored.push({
          ...{ token, logprob: row[token]! - normalizer },
          top: topLogprobs(row, top, scratch, normalizer),
        });
      }
    return scored;
  }

  /**
   * Each token is predicted from at least half a window before it, except where the text begins: windows
   * overlap by half, and only the second half of each counts.
   */
  async score(
    ids: readonly number[],
    { window = Math.min(this.contextLength, SCORE_WINDOW), onProgress, signal }: ScoreOptions = {},
  ): Promise<ScoreResult> {
    needIds(ids, "ids", "a list of token ids (model.tokenizer makes them of a text)");
    if (ids.length < 2) throw new ParameterError("ids", `a score needs at least 2 tokens, not ${ids.length}`);
    if (!Number.isSafeInteger(window) || window < 2 || window > this.contextLength)
      throw new ParameterError("window", `must be 2 to ${this.contextLength} (the context), not ${window}`);
    let [total, scored, start] = [0, 1, 0];
    while (scored < ids.length) {
      const part = ids.slice(start, start + window);
      let row = start;
      for await (const chunk of this.engine.logits(part, { signal })) {
        const rows = chunk.length / this.vocabularySize;
        // Row r predicts token r + 1; what an earlier window has scored is not counted again.
        const from = Math.max(row, scored - 1);
        const to = Math.min(row + rows, ids.length - 1);
        if (to > from) {
          const wanted = chunk.subarray((from - row) * this.vocabularySize, (to - row) * this.vocabularySize);
          for (const loss of nll(wanted, ids.slice(from + 1, to + 1))) total += loss;
          scored = to + 1;
        }
        row += rows;
        onProgress?.(scored, ids.length);
      }
      start += Math.floor(window / 2);
    }
    const tokens = ids.length - 1;
    return { tokens, nll: total, perplexity: Math.exp(total / tokens) };
  }

  async close(): Promise<void> {
    const { device, loaded, checkpoint } = this.parts;
    this.monitor.stop();
    this.engine.close();
    await loaded.weights.close();
    await device.close();
    checkpoint.close();
  }

  private start(prompt: () => readonly number[], options: GenerateOptions, continues: boolean): Generation {
    const { endTokens } = this.parts;
    const { showTokens: show = [] } = options;
    const detokenizer = this.tokenizer?.detokenizer({ skipSpecial: true, show });
    const constrain = (grammar: Grammar, ends: readonly number[]) => this.compiled(grammar).start(ends);
    const parts = { engine: this.engine, detokenizer, endTokens, constrain, prompt, continues };
    return new TextGeneration(parts, options);
  }

  /** Grammars are asked for again and again: the last few are kept as they were compiled. */
  private compiled(grammar: Grammar): CompiledGrammar {
    this.compiler ??= new GrammarCompiler(this.needTokenizer("grammar"), this.vocabularySize);
    const key = JSON.stringify(grammar);
    const compiled = this.grammars.get(key) ?? this.compiler.compile(grammar);
    this.grammars.delete(key);
    this.grammars.set(key, compiled);
    if (this.grammars.size > KEPT_GRAMMARS) this.grammars.delete(this.grammars.keys().next().value!);
    return compiled;
  }

  private needTokenizer(parameter: string): Tokenizer {
    if (this.tokenizer) return this.tokenizer;
    throw new ParameterError(parameter, `${this.name} has no tokenizer; give token ids instead of text`);
  }
}

function defaultCacheTokens({ parts: { context, cacheLayers } }: Decoder, format: CacheFormat): number {
  const perToken = cacheLayers.reduce(
    (sum, { kvHeads, keyDim, valueDim }) =>
      sum + kvHeads * (tensorBytes(format, [keyDim]) + tensorBytes(format, [valueDim])),
    0,
  );
  return Math.max(context, Math.min(CACHE.contexts * context, Math.floor(CACHE.bytes / perToken)));
}
