/**
 * A process that holds a model: it opens it, runs what it is asked to, and tells of every token. It ends with the
 * process that started it, and leaves Ctrl-C to that one.
 */
import { open } from "../open.ts";
import { openRandom } from "../open-random.ts";
import type { LanguageModel, TokenEvent } from "../types.ts";
import { type Answers, type Ask, type Call, plainError, type Reply, type Request } from "./protocol.ts";

const send = (reply: Reply): void => {
  if (process.connected) process.send?.(reply);
};

let model: LanguageModel | undefined;
const running = new Map<number, { readonly abort: AbortController; hold: Hold }>();

/** Opens and shuts for one generation. */
class Hold {
  private wait: Promise<void> | undefined;
  private go: (() => void) | undefined;

  set(on: boolean): void {
    if (!on) {
      this.go?.();
      this.wait = undefined;
    } else
      this.wait ??= new Promise((resolve) => {
        this.go = resolve;
      });
  }

  passed(): Promise<void> | undefined {
    return this.wait;
  }
}

/** Tokens that are not sent yet: those of one turn of the event loop go together. */
let events: (readonly [number, TokenEvent])[] = [];
function push(id: number, event: TokenEvent): void {
  if (events.length === 0) setImmediate(flush);
  events.push([id, event]);
}
function flush(): void {
  if (events.length === 0) return;
  send({ kind: "events", events });
  events = [];
}

async function generate(id: number, ask: Ask, signal: AbortSignal, hold: Hold): Promise<void> {
  const options = { ...ask.options, signal };
  const generation =
    ask.kind === "chat" ? model!.chat(ask.messages, options) : model!.generate(ask.prompt, options);
  for await (const event of generation.events()) {
    push(id, event);
    const wait = hold.passed();
    if (wait) await wait;
  }
  const { tokens: _, logprobs: __, ...ending } = await generation.result();
  flush();
  send({ kind: "ended", id, ending, description: model!.describe() });
}

async function call(id: number, asked: Call, signal: AbortSignal): Promise<void> {
  send({ kind: "value", id, value: await answer(id, asked, signal) });
}

function answer(id: number, asked: Call, signal: AbortSignal): Promise<Answers[Call["kind"]]> {
  if (asked.kind === "snapshot") return model!.monitor!.snapshot();
  if (asked.kind === "logits") return model!.logits(asked.ids, { signal });
  if (asked.kind === "logprobs") return model!.logprobs(asked.ids, { top: asked.top, signal });
  return model!.score(asked.ids, {
    ...(asked.window === undefined ? {} : { window: asked.window }),
    signal,
    onProgress: (done, total) => send({ kind: "progressed", id, done, total }),
  });
}

let unwatch: (() => void) | undefined;
function watch(on: boolean): void {
  // The new one first, so that the engine is looked at all the while.
  const before = unwatch;
  unwatch = on ? model?.monitor?.watch((frame) => send({ kind: "frame", frame })) : undefined;
  before?.();
}

function run(id: number, work: (signal: AbortSignal, hold: Hold) => Promise<void>): void {
  const abort = new AbortController();
  const hold = new Hold();
  running.set(id, { abort, hold });
  work(abort.signal, hold)
    .catch((error: unknown) => {
      flush();
      send({ kind: "error", id, error: plainError(error) });
    })
    .finally(() => running.delete(id));
}

async function opening({ source, options }: Extract<Request, { kind: "open" }>): Promise<void> {
  const onProgress = (done: number, total: number): void => send({ kind: "progress", done, total });
  model = await ("random" in source
    ? openRandom(source.random, { ...options, onProgress })
    : open(source.path, { ...options, onProgress }));
  const { name, architecture, contextLength, vocabularySize } = model;
  const description = model.describe();
  send({ kind: "opened", facts: { name, architecture, contextLength, vocabularySize, description } });
}

async function close(): Promise<void> {
  for (const { abort, hold } of running.values()) {
    abort.abort();
    hold.set(false);
  }
  await model?.close();
  process.exit(0);
}

process.on("message", (request: Request) => {
  if (request.kind === "open")
    opening(request).catch((error: unknown) => send({ kind: "failed", error: plainError(error) }));
  else if (request.kind === "start")
    run(request.id, (signal, hold) => generate(request.id, request.ask, signal, hold));
  else if (request.kind === "call") run(request.id, (signal) => call(request.id, request.call, signal));
  else if (request.kind === "abort") {
    running.get(request.id)?.abort.abort();
    running.get(request.id)?.hold.set(false);
  } else if (request.kind === "hold") running.get(request.id)?.hold.set(request.on);
  else if (request.kind === "watch") watch(request.on);
  else void close();
});
process.on("disconnect", () => void close());
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
