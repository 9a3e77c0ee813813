/** Tokens on their way from the host to whoever reads them. Knows events; must not know processes. */
import type { Generation, GenerationResult, TokenEvent } from "../types.ts";
import type { Ending } from "./protocol.ts";

/** A reader this far behind makes the host wait, until it has come near again. */
const FAR = 512;
const NEAR = 64;

export interface Source {
  /** Begins; called when somebody reads. */
  start(): void;
  /** Ends what runs. */
  abort(): void;
  hold(on: boolean): void;
}

/** A generation in another process: started when first read, consumed once. */
export class HostedGeneration implements Generation {
  private readonly source: Source;
  private readonly withLogprobs: boolean;
  private readonly all: TokenEvent[] = [];
  private read = 0;
  private held = false;
  /** Whether the reader has gone: nobody would ever come near again. */
  private left = false;
  private ending: Ending | undefined;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;
  private readonly done: () => void;
  private readonly iterator: AsyncGenerator<TokenEvent>;

  /** @param done called once, when it has ended in whatever way */
  constructor(source: Source, withLogprobs: boolean, done: () => void) {
    this.source = source;
    this.withLogprobs = withLogprobs;
    this.done = done;
    this.iterator = this.run();
  }

  push(event: TokenEvent): void {
    this.all.push(event);
    if (this.all.length - this.read > FAR) this.hold(true);
    this.wake?.();
  }

  end(ending: Ending): void {
    this.ending = ending;
    this.done();
    this.wake?.();
  }

  /** It was aborted, and the host does not say how it ended. */
  giveUp(): void {
    if (this.ending || this.failure) return;
    const none = {
      promptMs: 0,
      firstTokenMs: 0,
      generateMs: 0,
      promptTokensPerSecond: 0,
      tokensPerSecond: 0,
    };
    const text = this.all.map((event) => event.text).join("");
    this.end({ text, promptTokens: 0, finishReason: "abort", timing: none });
  }

  fail(error: Error): void {
    if (this.ending || this.failure) return;
    this.failure = error;
    this.done();
    this.wake?.();
  }

  events(): AsyncGenerator<TokenEvent> {
    return this.iterator;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    let sent = 0;
    for await (const { text } of this.iterator) {
      sent += text.length;
      if (text !== "") yield text;
    }
    const { text } = await this.result();
    if (text.length > sent) yield text.slice(sent);
  }

  async result(): Promise<GenerationResult> {
    for await (const _ of this.iterator);
    await this.settled();
    if (this.failure) throw this.failure;
    return {
      ...this.ending!,
      tokens: this.all.map(({ token }) => token),
      ...(this.withLogprobs ? { logprobs: this.all } : {}),
    };
  }

  private hold(on: boolean): void {
    if (on !== this.held && !this.left) this.source.hold(on);
    this.held = on;
  }

  /** Until the host has said how it ended. */
  private async settled(): Promise<void> {
    while (!this.ending && !this.failure) await this.next();
  }

  private next(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private async *run(): AsyncGenerator<TokenEvent> {
    this.source.start();
    try {
      for (;;) {
        while (this.read < this.all.length) {
          if (this.all.length - this.read < NEAR) this.hold(false);
          yield this.all[this.read++]!;
        }
        if (this.failure) throw this.failure;
        if (this.ending) return;
        await this.next();
      }
    } finally {
      this.left = true;
      if (!this.ending && !this.failure) this.source.abort();
    }
  }
}
