/** Load to look at: short texts asked of this server, so many at once, one after another, until that is stopped. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failureOf } from "../api/failure.ts";
import { ask } from "../api/stream.ts";

/** Long enough to fill a block or two of the cache, so that half of the texts share them. */
const preface =
  "The ship had been at sea for forty days when the lookout saw land. The captain, who had slept little, came on deck " +
  "with his old brass telescope and looked for a long while without a word, and the men stood about him and waited. " +
  "It was a green coast with a white line of surf before it, and behind it there were hills, and behind the hills " +
  "mountains with snow on them, higher than any that the oldest sailor on board had ever seen. ";
const openings = [
  "Nobody spoke until",
  "At last the captain said",
  "The cook laughed and",
  "In the evening they",
  "A bird came from the land and",
  "The youngest of them asked",
];

/** A browser opens six connections to a server at most: of these one is for what is drawn, one for the rest of the page. */
const REQUESTS = 4;
/** Milliseconds to wait after the server has said that it has enough to do. */
const CROWDED = 1000;

export interface Demo {
  readonly running: boolean;
  /** Texts that have been written. */
  readonly done: number;
  readonly failure: Failure | undefined;
  start(texts: number): void;
  stop(): void;
}

/** Ends with the view that it belongs to. */
export function useDemo(): Demo {
  const [running, setRunning] = useState(false);
  const [done, setDone] = useState(0);
  const [failure, setFailure] = useState<Failure>();
  const control = useRef<AbortController>(undefined);
  const stop = () => {
    control.current?.abort();
    setRunning(false);
  };
  useEffect(() => stop, []);
  const start = (texts: number) => {
    // One that the view does not show yet would be stopped by nobody.
    control.current?.abort();
    const own = new AbortController();
    control.current = own;
    setRunning(true);
    setDone(0);
    setFailure(undefined);
    for (let i = 0; i < Math.min(REQUESTS, texts); i++) {
      // Every fourth text, from the i-th on.
      const numbers = Array.from({ length: Math.ceil((texts - i) / REQUESTS) }, (_, k) => i + k * REQUESTS);
      askAgain(numbers, own.signal, () => setDone((count) => count + 1)).catch((error: unknown) => {
        if (own.signal.aborted) return;
        setFailure(failureOf(error));
        stop();
      });
    }
  };
  return { running, done, failure, start, stop };
}

/** Texts in one request, until they are all there; then the next ones. */
async function askAgain(numbers: readonly number[], signal: AbortSignal, onDone: () => void): Promise<void> {
  for (let round = 0; !signal.aborted; round++) {
    const prompt = numbers.map((number) => promptOf(number, round));
    // They end at different places, so that not all begin together.
    const fields = {
      max_tokens: 60 + 40 * (numbers[0]! % REQUESTS),
      temperature: 0.9,
      stop: ["?", "!", ";"],
    };
    try {
      for await (const { kind } of ask({ kind: "text", prompt }, { fields, probabilities: false }, signal))
        if (kind === "finish") onDone();
    } catch (error) {
      if (failureOf(error).status !== 429) throw error;
      await new Promise((resolve) => setTimeout(resolve, CROWDED));
    }
  }
}

function promptOf(number: number, round: number): string {
  const opening = openings[(number + round) % openings.length]!;
  return Math.floor(number / REQUESTS) % 2 === 0 ? preface + opening : opening;
}
