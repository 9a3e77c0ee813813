/**
 * A model in a process of its own: the one that uses it stays free to answer others, and outlives it. A host that
 * ends unexpectedly fails what it was working on and is started again; what is asked meanwhile waits for it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FoveaError } from "../../base/errors.ts";
import type { Tokenizer } from "../../checkpoint/tokenizer/index.ts";
import type { EngineSnapshot } from "../../engine/report.ts";
import { chatPrompt } from "../chat-prompt.ts";
import type {
  ChatMessage,
  ChatOptions,
  ChatPromptOptions,
  GenerateOptions,
  Generation,
  LanguageModel,
  ModelDescription,
  ScoreOptions,
} from "../types.ts";
import { HostedMonitor } from "./hosted-monitor.ts";
import type { Ask, Call, Facts, PlainOpen, Reply, Request, Source } from "./protocol.ts";
import { errorFrom } from "./protocol.ts";
import { HostedGeneration } from "./stream.ts";

/** The built file, from src/tasks/host and from dist/tasks/host alike: Node does not run TypeScript. */
const MAIN = fileURLToPath(new URL("../../../dist/tasks/host/main.js", import.meta.url));
/** A host that ended this often within a minute would do so again. */
const MOST_ENDS = 3;
const MINUTE = 60_000;
/** Milliseconds that a host gets to end by itself. */
const CLOSING = 10_000;

export interface HostOptions {
  readonly source: Source;
  readonly open: PlainOpen;
  readonly tokenizer: Tokenizer | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told when a host has ended unexpectedly. */
  readonly onCrash?: ((error: Error) => void) | undefined;
}

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

export class HostedModel implements LanguageModel {
  readonly monitor: HostedMonitor;
  private readonly options: HostOptions;
  private child: ChildProcess | undefined;
  /** Settles when the present host has opened the model, or cannot. */
  private opening: Promise<Facts>;
  private facts: Facts | undefined;
  /** Whether the present host has opened it. */
  private opened = false;
  private readonly generations = new Map<number, HostedGeneration>();
  private readonly calls = new Map<number, PendingCall>();
  private nextId = 0;
  private ends: number[] = [];
  private closing = false;

  private constructor(options: HostOptions) {
    this.options = options;
    const model = this;
    this.monitor = new HostedMonitor({
      get ready() {
        return model.ready;
      },
      snapshot: async () => (await this.call({ kind: "snapshot" }, undefined)) as EngineSnapshot,
      watch: (on) => this.send({ kind: "watch", on }),
    });
    this.opening = this.begin();
  }

  /** @throws what `open` throws; an `AbortError` when the signal ends it */
  static async open(options: HostOptions): Promise<HostedModel> {
    const model = new HostedModel(options);
    const stop = (): void => void model.child?.kill("SIGKILL");
    options.signal?.addEventListener("abort", stop, { once: true });
    try {
      await model.opening;
    } catch (error) {
      await model.close();
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", stop);
    }
    return model;
  }

  get name(): string {
    return this.facts!.name;
  }
  get architecture(): string {
    return this.facts!.architecture;
  }
  get contextLength(): number {
    return this.facts!.contextLength;
  }
  get vocabularySize(): number {
    return this.facts!.vocabularySize;
  }
  get tokenizer(): Tokenizer | undefined {
    return this.options.tokenizer;
  }
  get chats(): boolean {
    return this.tokenizer?.chatTemplate !== undefined;
  }

  /** The process that holds the model; undefined between two. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Whether what is asked now is worked on at once. */
  get ready(): boolean {
    return this.child?.connected === true && this.opened;
  }

  describe(): ModelDescription {
    return this.facts!.description;
  }

  generate(prompt: string | readonly number[], options: GenerateOptions = {}): Generation {
    const { signal, ...plain } = options;
    return this.start({ kind: "generate", prompt, options: plain }, signal);
  }

  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Generation {
    const { signal, ...plain } = options;
    return this.start({ kind: "chat", messages, options: plain }, signal);
  }

  chatPrompt(messages: readonly ChatMessage[], options: ChatPromptOptions = {}): readonly number[] {
    return chatPrompt(this, this.tokenizer, messages, options);
  }

  async logits(ids: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    return (await this.call({ kind: "logits", ids }, signal)) as Float32Array[];
  }

  async score(ids: readonly number[], { window, onProgress, signal }: ScoreOptions = {}) {
    const call = { kind: "score", ids, ...(window === undefined ? {} : { window }) } as const;
    const value = await this.call(call, signal, onProgress);
    return value as { tokens: number; nll: number; perplexity: number };
  }

  async close(): Promise<void> {
    this.closing = true;
    this.monitor.stop();
    const { child } = this;
    this.failAll(new FoveaError("the model is closed"));
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const late = setTimeout(() => child.kill("SIGKILL"), CLOSING);
    this.send({ kind: "close" });
    await ended;
    clearTimeout(late);
  }

  private begin(): Promise<Facts> {
    const child = fork(MAIN, { serialization: "advanced", stdio: ["ignore", 2, 2, "ipc"] });
    this.child = child;
    this.opened = false;
    const opening = new Promise<Facts>((resolve, reject) => {
      child.on("message", (reply: Reply) => {
        if (reply.kind === "opened") {
          this.facts = reply.facts;
          this.opened = true;
          this.monitor.opened();
          resolve(reply.facts);
        } else if (reply.kind === "failed") reject(errorFrom(reply.error));
        else this.take(reply);
      });
      child.once("error", (error) =>
        reject(new FoveaError(`the model's process cannot start: ${error.message}`)),
      );
      child.once("exit", (code, signal) => {
        const error = new FoveaError(
          `the model's process ended unexpectedly (${signal ?? `exit code ${code}`}); what it was working on is lost`,
        );
        reject(error);
        this.child = undefined;
        if (!this.closing) this.crashed(error);
      });
    });
    // Whoever asks for something is told; nobody need have asked.
    opening.catch(() => {});
    this.send({ kind: "open", source: this.options.source, options: this.options.open });
    return opening;
  }

  private crashed(error: FoveaError): void {
    this.failAll(error);
    if (!this.facts) return; // it never stood
    this.options.onCrash?.(error);
    this.ends.push(performance.now());
    const ends = this.recentEnds();
    this.opening =
      ends > MOST_ENDS
        ? Promise.reject(
            new FoveaError(
              `the model's process ended ${ends} times within a minute; it is tried again once that is a minute ago`,
            ),
          )
        : this.begin();
    this.opening.catch(() => {});
  }

  private recentEnds(): number {
    const now = performance.now();
    this.ends = this.ends.filter((end) => now - end < MINUTE);
    return this.ends.length;
  }

  /** Settles when there is a host. One that was given up is tried again once its ends are a minute ago. */
  private standing(): Promise<Facts> {
    if (!this.child && !this.closing && this.recentEnds() <= MOST_ENDS) this.opening = this.begin();
    return this.opening;
  }

  private failAll(error: Error): void {
    for (const generation of this.generations.values()) generation.fail(error);
    for (const call of this.calls.values()) call.reject(error);
    this.generations.clear();
    this.calls.clear();
  }

  private send(request: Request): void {
    if (this.child?.connected) this.child.send(request, () => {}); // a host that is gone says so by its exit
  }

  private take(reply: Exclude<Reply, { kind: "opened" | "failed" }>): void {
    if (reply.kind === "events") {
      for (const [id, event] of reply.events) this.generations.get(id)?.push(event);
      return;
    }
    if (reply.kind === "frame") {
      this.monitor.tell(reply.frame);
      return;
    }
    if (reply.kind === "progress") {
      if (!this.facts) this.options.onProgress?.(reply.done, reply.total);
      return;
    }
    const { id } = reply;
    if (reply.kind === "ended") {
      this.facts = { ...this.facts!, description: reply.description };
      this.generations.get(id)?.end(reply.ending);
      this.generations.delete(id);
    } else if (reply.kind === "value") {
      this.calls.get(id)?.resolve(reply.value);
      this.calls.delete(id);
    } else if (reply.kind === "progressed") this.calls.get(id)?.onProgress?.(reply.done, reply.total);
    else {
      const error = errorFrom(reply.error);
      this.generations.get(id)?.fail(error);
      this.calls.get(id)?.reject(error);
      this.generations.delete(id);
      this.calls.delete(id);
    }
  }

  private start(ask: Ask, signal: AbortSignal | undefined): Generation {
    const id = this.nextId++;
    const abort = (): void => this.send({ kind: "abort", id });
    const generation: HostedGeneration = new HostedGeneration(
      {
        start: () => {
          this.generations.set(id, generation);
          this.standing().then(
            () => {
              this.send({ kind: "start", id, ask });
              if (signal?.aborted) abort();
              else signal?.addEventListener("abort", abort, { once: true });
            },
            (error: Error) => {
              this.generations.delete(id);
              generation.fail(error);
            },
          );
        },
        abort,
        hold: (on) => this.send({ kind: "hold", id, on }),
      },
      ask.options.logprobs !== undefined,
      () => signal?.removeEventListener("abort", abort),
    );
    return generation;
  }

  private async call(
    call: Call,
    signal: AbortSignal | undefined,
    onProgress?: (done: number, total: number) => void,
  ): Promise<unknown> {
    await this.standing();
    signal?.throwIfAborted();
    const id = this.nextId++;
    const abort = (): void => this.send({ kind: "abort", id });
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.calls.set(id, { resolve, reject, onProgress });
        this.send({ kind: "call", id, call });
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }
}
