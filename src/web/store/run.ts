/** One generation: asks, and hands on what comes in small batches, so that the page is drawn once for many tokens. */
import { failureOf } from "../api/failure.ts";
import { type Asking, ask, type Question } from "../api/stream.ts";
import { ended, grow, type Timed } from "./answer.ts";
import type { Answer } from "./types.ts";

/** Milliseconds between two batches. A timer, not a frame: a page in the background gets no frames. */
const batch = 40;

export interface Run {
  /** Prepares what is asked; it may ask the server for tokens. */
  question(signal: AbortSignal): Promise<Question>;
  readonly asking: Asking;
  /** Changes the answer where it is kept. */
  readonly change: (update: <A extends Answer>(answer: A) => A) => void;
}

/** Ends, without ever throwing, when the answer has ended. */
export async function run({ question, asking, change }: Run, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  let waiting: Timed[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hand = () => {
    clearTimeout(timer);
    timer = undefined;
    const events = waiting;
    waiting = [];
    if (events.length > 0) change((answer) => grow(answer, events));
  };
  try {
    const asked = await question(signal);
    for await (const event of ask(asked, asking, signal)) {
      waiting.push({ event, at: performance.now() - started });
      timer ??= setTimeout(hand, batch);
    }
    hand();
    change((answer) => ended(answer));
  } catch (error) {
    hand();
    change((answer) => ended(answer, signal.aborted ? "stopped" : failureOf(error)));
  }
}
