/**
 * A model in a process of its own: the one that uses it stays free to answer others, and outlives it. A host that
 * ends unexpectedly fails what it was working on; what is asked after that waits for the next.
 */
import { FoveaError, ParameterError } from "../../base/errors.ts";
import type { EncodeOptions, Tokenizer } from "../../checkpoint/tokenizer/index.ts";
import { chatEncoding, chatText } from "../chat-prompt.ts";
import { isIds } from "../prompt-ids.ts";
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
} from "../types.ts";
import { HostedMonitor } from "./hosted-monitor.ts";
import { HostProcess, type ProcessOptions, type WorkReply } from "./process.ts";
import { type Answers, type Ask, type Call, errorFrom, type Facts } from "./protocol.ts";
import { LONG, Reading } from "./reading.ts";
import { HostedGeneration } from "./stream.ts";

export interface HostOptions extends ProcessOptions {
  readonly tokenizer: Tokenizer | undefined;
  /** Gives the opening up. */
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds in which a host tells how a generation ended that was aborted; then that is said for it. */
const GRACE = 1000;

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

export class HostedModel implements LanguageModel {
  readonly name: string;
  readonly architecture: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly tokenizer: Tokenizer | undefined;
  readonly monitor: HostedMonitor;
  private readonly host: HostProcess;
  private readonly reading: Reading | undefined;
  private description: ModelDescription;
  private readonly generations = new Map<number, HostedGeneration>();
  private readonly calls = new Map<number, PendingCall>();
  private nextId = 0;

  private constructor(
    host: HostProcess,
    facts: Facts,
    { tokenizer, source }: Pick<HostOptions, "tokenizer" | "source">,
  ) {
    this.host = host;
    this.name = facts.name;
    this.architecture = facts.architecture;
    this.contextLength = facts.contextLength;
    this.vocabularySize = facts.vocabularySize;
    this.description = facts.description;
    this.tokenizer = tokenizer;
    this.reading = tokenizer && new Reading(tokenizer, "path" in source ? source.path : undefined);
    this.monitor = new HostedMonitor({
      ready: () => host.ready,
      snapshot: (signal) => this.call({ kind: "snapshot" }, signal),
      watch: (on) => host.send({ kind: "watch", on }),
    });
    host.user = {
      reopened: () => this.monitor.reopened(),
      take: (reply) => this.take(reply),
      ended: (error) => this.failAll(error),
    };
  }

  /** @throws what `open` throws; the signal's reason when that ends it */
  static async open(options: HostOptions): Promise<HostedModel> {
    const { signal } = options;
    signal?.throwIfAborted();
    const host = new HostProcess(options);
    const stop = (): void => host.kill();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return new HostedModel(host, await host.standing(), options);
    } catch (error) {
      await host.close();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  get chats(): boolean {
    return this.tokenizer?.chatTemplate !== undefined;
  }

  /** The process that holds the model; undefined between two. */
  get pid(): number | undefined {
    return this.host.pid;
  }

  get ready(): boolean {
    return this.host.ready;
  }

  describe(): ModelDescription {
    return this.description;
  }

  generate(prompt: string | readonly number[], options: GenerateOptions = {}): Generation {
    const { signal, ...plain } = options;
    return this.start({ kind: "generate", prompt, options: plain }, signal);
  }

  chat(messages: readonly ChatMessage[] | readonly number[], options: ChatOptions = {}): Generation {
    const { signal, ...plain } = options;
    return this.start({ kind: "chat", messages, options: plain }, signal);
  }

  async chatPrompt(
    messages: readonly ChatMessage[],
    options: ChatPromptOptions = {},
  ): Promise<readonly number[]> {
    const text = chatText(this, this.tokenizer, messages, options);
    return this.reading!.ids(text, this.contextLength, chatEncoding);
  }

  async encode(
    text: string,
    { most = Number.POSITIVE_INFINITY, ...options }: EncodeOptions & { readonly most?: number } = {},
  ): Promise<readonly number[]> {
    if (!this.reading)
      throw new ParameterError("text", `${this.name} has no tokenizer; give token ids instead of text`);
    return this.reading.ids(text, most, options);
  }

  logits(ids: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    return this.call({ kind: "logits", ids }, signal);
  }

  logprobs(
    ids: readonly number[],
    { top = 0, signal }: { readonly top?: number; readonly signal?: AbortSignal } = {},
  ): Promise<ScoredToken[]> {
    return this.call({ kind: "logprobs", ids, top }, signal);
  }

  score(ids: readonly number[], { window, onProgress, signal }: ScoreOptions = {}): Promise<ScoreResult> {
    return this.call({ kind: "score", ids, ...(window === undefined ? {} : { window }) }, signal, onProgress);
  }

  async close(): Promise<void> {
    this.monitor.stop();
    this.failAll(new FoveaError("the model is closed"));
    await Promise.all([this.host.close(), this.reading?.close()]);
  }

  private failAll(error: Error): void {
    for (const generation of this.generations.values()) generation.fail(error);
    for (const call of this.calls.values()) call.reject(error);
    this.generations.clear();
    this.calls.clear();
  }

  private take(reply: WorkReply): void {
    switch (reply.kind) {
      case "events":
        for (const [id, event] of reply.events) this.generations.get(id)?.push(event);
        break;
      case "ended":
        this.description = reply.description;
        this.generations.get(reply.id)?.end(reply.ending);
        this.generations.delete(reply.id);
        break;
      case "value":
        this.calls.get(reply.id)?.resolve(reply.value);
        this.calls.delete(reply.id);
        break;
      case "progressed":
        this.calls.get(reply.id)?.onProgress?.(reply.done, reply.total);
        break;
      case "frame":
        this.monitor.tell(reply.frame);
        break;
      case "error": {
        const error = errorFrom(reply.error);
        this.generations.get(reply.id)?.fail(error);
        this.calls.get(reply.id)?.reject(error);
        this.generations.delete(reply.id);
        this.calls.delete(reply.id);
        break;
      }
      default:
        reply satisfies never;
    }
  }

  private start(ask: Ask, signal: AbortSignal | undefined): Generation {
    const { host } = this;
    const id = this.nextId++;
    let begun = false;
    let late: ReturnType<typeof setTimeout> | undefined;
    const giveUp = (): void => {
      this.generations.delete(id);
      generation.giveUp();
    };
    const abort = (): void => {
      if (begun) {
        host.send({ kind: "abort", id });
        late ??= setTimeout(giveUp, GRACE).unref();
      } else giveUp();
    };
    const begin = async (): Promise<void> => {
      if (signal?.aborted) return generation.giveUp();
      signal?.addEventListener("abort", abort, { once: true });
      this.generations.set(id, generation);
      try {
        const [read] = await Promise.all([this.read(ask), host.standing()]);
        if (!this.generations.has(id)) return;
        begun = true;
        host.send({ kind: "start", id, ask: read });
      } catch (error) {
        this.generations.delete(id);
        generation.fail(error as Error);
      }
    };
    const generation: HostedGeneration = new HostedGeneration(
      { start: () => void begin(), abort, hold: (on) => host.send({ kind: "hold", id, on }) },
      ask.options.logprobs !== undefined,
      () => {
        clearTimeout(late);
        signal?.removeEventListener("abort", abort);
      },
    );
    return generation;
  }

  /** What the model's process would read long itself is read before: it has others to answer meanwhile. */
  private async read(ask: Ask): Promise<Ask> {
    const { reading } = this;
    if (!reading) return ask;
    if (ask.kind === "generate") {
      const { prompt } = ask;
      if (typeof prompt !== "string" || prompt.length <= LONG) return ask;
      return { ...ask, prompt: await reading.ids(prompt, this.contextLength, {}) };
    }
    const { messages, options } = ask;
    if (isIds(messages) || !isLong(messages)) return ask;
    return { ...ask, messages: await this.chatPrompt(messages, options) };
  }

  private async call<K extends Call["kind"]>(
    call: Extract<Call, { kind: K }>,
    signal: AbortSignal | undefined,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Answers[K]> {
    const { host } = this;
    const id = this.nextId++;
    let abort = (): void => {};
    try {
      return await new Promise<Answers[K]>((resolve, reject) => {
        // Nobody waits for a host to say that it has stopped.
        abort = () => {
          host.send({ kind: "abort", id });
          this.calls.delete(id);
          reject(signal?.reason);
        };
        if (signal?.aborted) return abort();
        signal?.addEventListener("abort", abort, { once: true });
        this.calls.set(id, { resolve: resolve as PendingCall["resolve"], reject, onProgress });
        host.standing().then(
          () => this.calls.has(id) && host.send({ kind: "call", id, call }),
          (error: unknown) => {
            this.calls.delete(id);
            reject(error);
          },
        );
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
}

/** Whether all that messages say is more than is read at once; whatever else they hold is left to the model. */
function isLong(messages: readonly ChatMessage[]): boolean {
  if (!Array.isArray(messages)) return false;
  let length = 0;
  for (const message of messages) if (typeof message?.content === "string") length += message.content.length;
  return length > LONG;
}
