/** Load to look at: clients that ask this server for short texts, one after another, until they are stopped. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failureOf } from "../api/failure.ts";
import { ask } from "../api/stream.ts";

/** Long enough to fill a block or two of the cache, so that half of the clients share them. */
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

/** Milliseconds that a client waits after it was told that there is enough to do. */
const CROWDED = 1000;

export interface Demo {
  readonly running: boolean;
  /** Texts that have been written. */
  readonly done: number;
  readonly failure: Failure | undefined;
  start(clients: number): void;
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
  const start = (clients: number) => {
    const own = new AbortController();
    control.current = own;
    setRunning(true);
    setDone(0);
    setFailure(undefined);
    for (let i = 0; i < clients; i++)
      void client(i, own.signal, () => setDone((count) => count + 1)).catch((error: unknown) => {
        if (own.signal.aborted) return;
        setFailure(failureOf(error));
        stop();
      });
  };
  return { running, done, failure, start, stop };
}

async function client(number: number, signal: AbortSignal, onDone: () => void): Promise<void> {
  for (let round = 0; !signal.aborted; round++) {
    const opening = openings[(number + round) % openings.length]!;
    const prompt = number % 2 === 0 ? preface + opening : opening;
    // Different lengths, so that they do not all begin and end together.
    const fields = { max_tokens: 24 + ((number * 37 + round * 53) % 104), temperature: 0.9 };
    try {
      for await (const _ of ask({ kind: "text", prompt }, { fields, probabilities: false }, signal));
      onDone();
    } catch (error) {
      if (failureOf(error).status !== 429) throw error;
      await new Promise((resolve) => setTimeout(resolve, CROWDED));
    }
  }
}
