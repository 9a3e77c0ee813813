/**
 * Runs sequences through a decoder: prompts in chunks, then token by token. Several sequences may be under way
 * at once; their steps take turns on the device. Knows tokens, not text.
 */
import { ParameterError } from "../base/errors.ts";
import { DenseCache, makeBatch, type SequenceId } from "../cache/index.ts";
import type { Constraint } from "../decode/grammar/index.ts";
import { type Choice, Sampler, type Sampling, SamplingWorkspace } from "../decode/sampling.ts";
import type { Decoder, RecordedStep } from "../nn/index.ts";
import { type CacheFormat, type Device, Stream } from "../ops/index.ts";

/** Prompt tokens in one step: enough to use the device well, few enough that an abort is heeded soon. */
const CHUNK = 512;

export interface RunOptions {
  readonly sampling: Sampling;
  readonly maxTokens: number;
  readonly signal?: AbortSignal | undefined;
  /** Called when the whole prompt has been processed. */
  readonly onPrompt?: () => void;
  /** Decides which tokens may be drawn; taken along token by token. Ends the run where nothing may follow. */
  readonly constraint?: Constraint | undefined;
}

export class Runner {
  readonly decoder: Decoder;
  private readonly device: Device;
  private readonly cache: DenseCache;
  private readonly workspace: SamplingWorkspace;
  /** Steps for one token that no generation uses now. */
  private readonly steps: RecordedStep[] = [];

  constructor(decoder: Decoder, device: Device, cacheFormat: CacheFormat) {
    this.decoder = decoder;
    this.device = device;
    this.cache = new DenseCache(device, decoder.parts.cacheLayers, { format: cacheFormat });
    this.workspace = new SamplingWorkspace(decoder.vocabularySize);
  }

  /** Draws tokens after the prompt until `maxTokens`, an abort, or the caller's return. */
  async *generate(
    prompt: readonly number[],
    { sampling, maxTokens, signal, onPrompt, constraint }: RunOptions,
  ): AsyncGenerator<Choice> {
    this.check(prompt);
    const sampler = new Sampler(sampling, this.workspace);
    const generated: number[] = [];
    const sequence = this.cache.add();
    let step = this.steps.pop();
    try {
      let logits: Float32Array | undefined;
      for (let start = 0; start < prompt.length; start += CHUNK) {
        if (signal?.aborted) return;
        const ids = prompt.slice(start, start + CHUNK);
        const last = start + CHUNK >= prompt.length;
        const running = this.step(sequence, ids, start, prompt.length, last ? [ids.length - 1] : []);
        logits = await maskMeanwhile(running, constraint);
      }
      onPrompt?.();
      for (;;) {
        const position = prompt.length + generated.length;
        const choice = sampler.next(logits!, { prompt, generated, position, allowed: constraint?.allowed() });
        generated.push(choice.token);
        constraint?.accept(choice.token);
        yield choice;
        if (generated.length >= maxTokens || signal?.aborted || constraint?.finished) return;
        const parts = [{ sequence, ids: [choice.token], start: position, promptLength: prompt.length }];
        if (!step?.again(parts))
          step = this.decoder.record(new Stream(this.device), parts, this.cache, Int32Array.of(0));
        logits = await maskMeanwhile(step.run(), constraint);
      }
    } finally {
      this.cache.remove(sequence);
      if (step) this.steps.push(step);
    }
  }

  /** Logits after each position of a text, chunk by chunk: rows [ids, vocabulary]. */
  async *logits(ids: readonly number[], signal?: AbortSignal): AsyncGenerator<Float32Array> {
    this.check(ids);
    const sequence = this.cache.add();
    try {
      for (let start = 0; start < ids.length; start += CHUNK) {
        signal?.throwIfAborted();
        const part = ids.slice(start, start + CHUNK);
        yield await this.step(sequence, part, start, ids.length, part.keys());
      }
    } finally {
      this.cache.remove(sequence);
    }
  }

  close(): void {
    this.cache.close();
  }

  /** Adds tokens to a sequence; the logits of the given rows. */
  private async step(
    sequence: SequenceId,
    ids: readonly number[],
    start: number,
    promptLength: number,
    rows: Iterable<number>,
  ): Promise<Float32Array> {
    const s = new Stream(this.device);
    const hidden = this.decoder.forward(s, makeBatch([{ sequence, ids, start, promptLength }]), this.cache);
    const wanted = Int32Array.from(rows);
    if (wanted.length > 0) return await s.read(this.decoder.logits(s, hidden, wanted));
    await s.flush();
    return new Float32Array(0);
  }

  private check(ids: readonly number[]): void {
    const { context } = this.decoder.parts;
    if (ids.length === 0) throw new ParameterError("prompt", "is empty; give at least one token");
    if (ids.length > context)
      throw new ParameterError("prompt", `has ${ids.length} tokens, but the model's context is ${context}`);
    const size = this.decoder.vocabularySize;
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= size);
    if (bad !== undefined) throw new ParameterError("ids", `${bad} is no token of the vocabulary of ${size}`);
  }
}

/** Makes the next mask while the model runs. */
async function maskMeanwhile<T>(running: Promise<T>, constraint: Constraint | undefined): Promise<T> {
  try {
    constraint?.allowed();
  } catch (error) {
    await running;
    throw error;
  }
  return await running;
}
