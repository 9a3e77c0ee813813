/** The server's stream of what its engine does, for as long as somebody looks; begun again when it breaks. */
import type { EngineFrame, EngineSnapshot } from "../../engine/report.ts";
import { type Failure, failureOf } from "../api/failure.ts";
import { get } from "../api/http.ts";
import { serverSentEvents } from "../api/stream.ts";

/** Milliseconds before a broken stream is asked for again: at first, and at most. */
const FIRST = 500;
const LONGEST = 8000;

export interface FeedEvents {
  /** At the beginning of each stream. */
  snapshot(snapshot: EngineSnapshot): void;
  frame(frame: EngineFrame): void;
  /** A stream could not be had, or has broken; it will be tried again unless that needs a person. */
  failed(failure: Failure): void;
}

/** Follows until the signal aborts. */
export async function follow(events: FeedEvents, signal: AbortSignal): Promise<void> {
  let wait = FIRST;
  while (!signal.aborted) {
    try {
      const response = await get("/engine/events", signal);
      let begun = false;
      for await (const data of serverSentEvents(response.body!)) {
        if (signal.aborted) return;
        const event = JSON.parse(data) as EngineFrame | EngineSnapshot;
        if (begun) events.frame(event as EngineFrame);
        else events.snapshot(event as EngineSnapshot);
        begun = true;
        wait = FIRST;
      }
    } catch (error) {
      if (signal.aborted) return;
      const failure = failureOf(error);
      events.failed(failure);
      // A key must be entered, or there is nothing to see.
      if (failure.status !== undefined && failure.status < 500 && failure.status !== 429) return;
    }
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
