/**
 * What the engine does, for those who look: one answer, or a stream of frames to each of several watchers. Knows
 * frames; must not know how they come.
 */
import type { EngineFrame, EngineSnapshot, Monitor } from "../engine/report.ts";
import { eventStreamType, streamHeaders } from "./dialect.ts";
import { ApiError } from "./errors.ts";

/** Those who watch at once. */
const MOST = 64;
/** Milliseconds after which a silent stream says that it is alive. */
const BEAT = 15_000;

type Controller = ReadableStreamDefaultController<Uint8Array>;

interface Watcher {
  readonly controller: Controller;
  /** The last frame that it has missed, with the map of the cache if that was missed too: sent when there is room. */
  missed: EngineFrame | undefined;
}

const encoder = new TextEncoder();
const event = (data: object): Uint8Array => encoder.encode(`data: ${JSON.stringify(data)}\n\n`);
const beat = encoder.encode(": \n\n");

export class EngineView {
  private readonly monitor: Monitor | undefined;
  private readonly watchers = new Set<Watcher>();
  private unwatch: (() => void) | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;

  /** @param shutdown ends all streams */
  constructor(monitor: Monitor | undefined, shutdown: AbortSignal) {
    this.monitor = monitor;
    shutdown.addEventListener("abort", () => {
      for (const watcher of [...this.watchers]) this.end(watcher);
    });
  }

  async snapshot(): Promise<EngineSnapshot> {
    const { monitor } = this;
    if (monitor === undefined)
      throw new ApiError(404, "this server's model does not tell of its engine", { code: "no_engine" });
    try {
      return await monitor.snapshot();
    } catch (error) {
      throw new ApiError(503, `the engine cannot be seen now: ${(error as Error).message}`, {
        code: "engine_unavailable",
        retryAfter: 1,
      });
    }
  }

  /** A stream of server-sent events: a snapshot, then a frame for each 50 ms in which something happened. */
  async stream({ method }: Request): Promise<Response> {
    this.checkRoom();
    const snapshot = await this.snapshot();
    this.checkRoom();
    const headers = streamHeaders(eventStreamType);
    // Nobody would read the stream, nor cancel it.
    if (method === "HEAD") return new Response(null, { headers });
    let watcher: Watcher | undefined;
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          watcher = { controller, missed: undefined };
          controller.enqueue(event(snapshot));
          this.begin(watcher);
        },
        pull: () => {
          const { missed } = watcher!;
          watcher!.missed = undefined;
          if (missed) watcher!.controller.enqueue(event(missed));
        },
        cancel: () => this.leave(watcher!),
      },
      { highWaterMark: 4 },
    );
    return new Response(body, { headers });
  }

  private checkRoom(): void {
    if (this.watchers.size < MOST) return;
    throw new ApiError(429, `${MOST} watch the engine already`, { code: "too_many_watchers", retryAfter: 5 });
  }

  private begin(watcher: Watcher): void {
    this.watchers.add(watcher);
    this.unwatch ??= this.monitor!.watch((frame) => this.tell(frame));
    this.timer ??= setInterval(() => {
      for (const { controller } of this.watchers)
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(beat);
    }, BEAT).unref();
  }

  private leave(watcher: Watcher): void {
    if (!this.watchers.delete(watcher) || this.watchers.size > 0) return;
    this.unwatch?.();
    this.unwatch = undefined;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private end(watcher: Watcher): void {
    this.leave(watcher);
    watcher.controller.close();
  }

  /** One who is slow misses all but the last frame: counts go on from the beginning, so that nothing is miscounted. */
  private tell(frame: EngineFrame): void {
    const bytes = event(frame);
    for (const watcher of this.watchers) {
      const { controller, missed } = watcher;
      if ((controller.desiredSize ?? 0) > 0) controller.enqueue(bytes);
      else watcher.missed = missed?.blocks === undefined ? frame : { blocks: missed.blocks, ...frame };
    }
  }
}
